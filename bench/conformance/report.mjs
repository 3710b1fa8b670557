/** The table by operator, the failing cases with their reasons, and the sums. */

/** The operator that a case is about, from its name where the model has several. */
const subjectOf = ({ name, operators }) =>
  operators?.length === 1 ? operators[0] : name.replace(/^test_/, '').replace(/[-_/.].*$/, '');

const steps = ['imports', 'shapes', 'reexports'];

export function reportOf(directory, verdicts) {
  const counted = verdicts.filter(({ runs }) => runs);
  const passed = (step) => counted.filter((verdict) => verdict[step]?.ok).length;
  const checked = counted.filter(({ gradient }) => gradient !== undefined && gradient.skipped === undefined);
  const summary = {
    conformance: directory,
    cases: verdicts.length,
    runByOrt: counted.length,
    imported: passed('imports'),
    shapesRight: passed('shapes'),
    reexported: passed('reexports'),
    gradientsChecked: checked.length,
    gradientsWrong: checked.filter(({ gradient }) => !gradient.ok).length,
  };
  const written = counted.filter(({ asWritten }) => asWritten !== undefined);
  const notes = written.map(
    ({ name, asWritten }) => `as the test says, not as the original runs: ${name}: ${asWritten}`,
  );
  const text = [...tableOf(verdicts), '', ...failures(counted), ...notes, '', ...notRun(verdicts)].join('\n');
  const failed = [summary.imported, summary.shapesRight, summary.reexported].some((count) => count < counted.length);
  return { text, summary, failed: failed || summary.gradientsWrong > 0 };
}

function tableOf(verdicts) {
  const groups = Map.groupBy?.(verdicts, subjectOf) ?? grouped(verdicts);
  const rows = [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([subject, all]) => {
      const runs = all.filter((each) => each.runs);
      const count = (holds) => runs.filter(holds).length;
      return [
        subject,
        all.length,
        runs.length,
        count((each) => each.imports?.ok),
        count((each) => each.shapes?.ok),
        count((each) => each.reexports?.ok),
        count((each) => each.sameBits),
        count(({ gradient }) => gradient?.ok),
        count(({ gradient }) => gradient?.ok && gradient.kind === 'float64'),
        count(({ gradient }) => gradient !== undefined && gradient.skipped === undefined && !gradient.ok),
      ];
    });
  const head = [
    'operator',
    'cases',
    'runs',
    'imports',
    'shapes',
    'same',
    'same bits',
    'gradient right',
    'in float64',
    'wrong',
  ];
  return [head, ...rows].map((row) =>
    row.map((cell, i) => (i === 0 ? String(cell).padEnd(28) : String(cell).padStart(head[i].length))).join('  '),
  );
}

function grouped(verdicts) {
  const groups = new Map();
  for (const verdict of verdicts) groups.set(subjectOf(verdict), [...(groups.get(subjectOf(verdict)) ?? []), verdict]);
  return groups;
}

function failures(counted) {
  return counted.flatMap((verdict) =>
    [...steps, 'gradient'].flatMap((step) => {
      const result = verdict[step];
      return result === undefined || result.ok || result.skipped !== undefined
        ? []
        : [`FAILS ${step} ${verdict.name}: ${result.reason}`];
    }),
  );
}

function notRun(verdicts) {
  return verdicts
    .filter(({ runs }) => !runs)
    .map(({ name, runtime }) => `not run by ONNX Runtime: ${name}: ${runtime?.reason ?? ''}`);
}

/**
 * `npm run conformance -- DIR [--json]`: the ONNX node tests (test_*\/model.onnx with test_data_set_*) or the folder of light
 * models (*.onnx with *_output_0.pb), against ONNX Runtime. A case counts where ONNX Runtime, from Node, loads and runs it:
 * it must then be imported, its inferred shapes must be the real ones, and the re-exported file must give the same outputs.
 * The tests are part of the ONNX package: https://github.com/onnx/onnx/tree/main/onnx/backend/test/data
 */
import { parseArgs } from 'node:util';

import { casesIn } from './conformance/cases.mjs';
import { judge } from './conformance/judge.mjs';
import { reportOf } from './conformance/report.mjs';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean' } } });
const [directory] = positionals;

if (directory === undefined || positionals.length > 1) {
  console.error('usage: npm run conformance -- DIR [--json]; see bench/README.md');
  process.exitCode = 4;
} else {
  const cases = casesIn(directory);
  const verdicts = await judge(cases);
  const { text, summary, failed } = reportOf(directory, verdicts);
  console.log(text);
  console.log(values.json ? JSON.stringify(summary) : summaryLine(summary));
  process.exitCode = failed || cases.length === 0 ? 1 : 0;
}

function summaryLine({ cases: total, runByOrt, imported, shapesRight, reexported, gradientsChecked, gradientsWrong }) {
  const of = (count) => `${count} of ${runByOrt}`;
  return (
    `${total} cases, ONNX Runtime runs ${runByOrt} from Node: ${of(imported)} imported, ${of(shapesRight)} shapes right, ` +
    `${of(reexported)} the same after export; ${gradientsChecked} gradients checked, ${gradientsWrong} wrong`
  );
}

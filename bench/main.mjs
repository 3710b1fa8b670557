/** `npm run bench -- NAME ...`: runs bench/NAME.mjs. */
const [name = '', ...args] = process.argv.slice(2);
const names = ['overhead', 'crash', 'train'];

if (!names.includes(name)) {
  console.error(`usage: npm run bench -- ${names.join('|')} [options]; see bench/README.md`);
  process.exitCode = 4;
} else {
  const { run } = await import(`./${name}.mjs`);
  await run(args);
}

// Evaluates JSONata by its reference implementation: cases on standard input, what came of each on standard output.
const jsonata = require('jsonata');

async function outcome({ source, value, bindings, calls }) {
  try {
    const expression = jsonata(source);
    for (const name of Object.keys(calls)) {
      expression.registerFunction(name, (...given) => {
        const asked = JSON.stringify(given);
        if (!(asked in calls[name])) throw new Error(`${name} was not called so before`);
        return calls[name][asked];
      });
    }
    const result = await expression.evaluate(value, bindings);
    return { result: result === undefined ? null : result };
  } catch (error) {
    return { error: error.code || 'function' };
  }
}

async function main() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const outcomes = [];
  for (const one of JSON.parse(Buffer.concat(chunks).toString('utf8'))) outcomes.push(await outcome(one));
  process.stdout.write(JSON.stringify(outcomes));
}

main();

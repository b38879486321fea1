// Validates the AsyncAPI document on standard input: `node check.mjs < asyncapi.yaml`. The official parser has nothing to
// say about it, hints included, and every example fits its schema.

import { text } from 'node:stream/consumers';
import { DiagnosticSeverity, Parser } from '@asyncapi/parser';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';

// The document is AsyncAPI 3.0 on purpose, whatever comes after it.
const IGNORED = 'asyncapi-latest-version';

const { document, diagnostics } = await new Parser().parse(await text(process.stdin));
const complaints = diagnostics
  .filter(({ code }) => code !== IGNORED)
  .map(({ severity, code, path, message }) => `${DiagnosticSeverity[severity]} ${code} at ${path.join('.')}: ${message}`);

// The parser leaves examples alone.
const ajv = new Ajv({ allErrors: true, strict: false });
addFormats(ajv);
const examples = (document?.messages().all() ?? []).flatMap((message) =>
  message.examples().all().map((example) => ({ message, example })),
);
for (const { message, example } of examples) {
  for (const part of ['payload', 'headers']) {
    const schema = message[part]()?.json() ?? false;
    const value = example[part]();
    if (value !== undefined && !ajv.validate(schema, value)) {
      complaints.push(`${message.id()}, ${part} of the example ${example.name()}: ${ajv.errorsText()}`);
    }
  }
}

const counts = {
  servers: document?.servers().length,
  channels: document?.channels().length,
  operations: document?.operations().length,
  messages: document?.messages().length,
  examples: examples.length,
};
for (const [kind, count] of Object.entries(counts)) {
  if (!count) complaints.push(`there are no ${kind}`);
}
if (complaints.length > 0) {
  console.error(complaints.join('\n'));
  process.exit(1);
}
const summary = Object.entries(counts).map(([kind, count]) => `${count} ${kind}`);
console.log(`AsyncAPI ${document.version()}: valid, with ${summary.join(', ')}`);

// Validates the AsyncAPI document on standard input: `node check.mjs < asyncapi.yaml`. The official parser has nothing to
// say about it, hints included, and every example fits its schema.

import { text } from 'node:stream/consumers';
import { DiagnosticSeverity, Parser } from '@asyncapi/parser';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';
import { CORE_SCHEMA, load } from 'js-yaml';

// The document is AsyncAPI 3.0 on purpose, whatever comes after it.
const IGNORED = 'asyncapi-latest-version';

const source = await text(process.stdin);
const { document, diagnostics } = await new Parser().parse(source);
const complaints = diagnostics
  .filter(({ code }) => code !== IGNORED)
  .map(({ severity, code, path, message }) => `${DiagnosticSeverity[severity]} ${code} at ${path.join('.')}: ${message}`);

// The parser leaves examples alone. They are held against the schemas as they stand in the document, because what it makes
// of a schema that refers to itself is a circle.
const components = document ? load(source, { schema: CORE_SCHEMA }).components : {};
const messages = Object.entries(components.messages ?? {});
const ajv = new Ajv({ allErrors: true, strict: false });
addFormats(ajv);
ajv.addSchema({ $id: 'document', components });
for (const [name, message] of messages) {
  for (const example of message.examples) {
    for (const part of ['payload', 'headers'].filter((part) => part in example)) {
      if (!ajv.validate({ $ref: `document#/components/messages/${name}/${part}` }, example[part])) {
        complaints.push(`${name}, ${part} of the example ${example.name}: ${ajv.errorsText()}`);
      }
    }
  }
}

const counts = {
  servers: document?.servers().length,
  channels: document?.channels().length,
  operations: document?.operations().length,
  messages: document?.messages().length,
  examples: messages.flatMap(([, message]) => message.examples).length,
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

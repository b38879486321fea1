// Converts the OpenAPI document of a running service to a Postman collection, as Postman does when a user imports it, and
// runs every request of it as it stands and in the order in which it stands there.
//
//   node postman.js URL STRATEGY     a folder for each of the `Tags`, or for each part of the `Paths`; the service has to be new

const converter = require("openapi-to-postmanv2");
const newman = require("newman");

async function main(url, folderStrategy) {
  const document = await (await fetch(`${url}/openapi.json`)).json();
  const results = await run(await convert(document, folderStrategy));
  for (const { name, method, status } of results) {
    console.log(`${String(status).padEnd(4)} ${method.padEnd(8)} ${name}`);
  }
  const failed = results.filter(({ status }) => !(status >= 200 && status < 300));
  const expected = Object.values(document.paths).flatMap(Object.keys).length;
  console.log(`${folderStrategy}: ${results.length} requests of ${expected} operations, ${failed.length} without success`);
  process.exitCode = failed.length === 0 && results.length === expected ? 0 : 1;
}

function convert(document, folderStrategy) {
  const input = { type: "json", data: document };
  // The values that the document gives as examples; otherwise every text would be "<string>".
  const options = { parametersResolution: "Example", folderStrategy };
  return new Promise((resolve, reject) =>
    converter.convertV2(input, options, (error, conversion) =>
      error || !conversion.result ? reject(error ?? conversion.reason) : resolve(conversion.output[0].data),
    ),
  );
}

function run(collection) {
  return new Promise((resolve, reject) =>
    newman.run({ collection, timeoutRequest: 10_000 }, (error, summary) =>
      error ? reject(error) : resolve(summary.run.executions.map(outcome)),
    ),
  );
}

function outcome({ item, request, response, requestError }) {
  return { name: item.name, method: request.method, status: response?.code ?? requestError?.message ?? "none" };
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});

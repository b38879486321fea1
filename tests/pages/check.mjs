// The pages in a real browser: `node check.mjs BINARY FOLDER` checks them and puts a screenshot of each into FOLDER.
// Every page loads without an error and without a request to another host; all but Swagger UI need no scripts; what is
// tried out in Swagger UI answers as it should.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { chromium } from 'playwright-core';
import { PUBLIC_URL, startService } from './service.mjs';

const [binary, folder] = process.argv.slice(2).map((path) => resolve(path));
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 390, height: 844 };
const FLAGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

let checks = 0;
function check(what, holds, detail = '') {
  assert.ok(holds, `${what}: ${detail}`);
  checks += 1;
}

/** A tab that remembers what went wrong in it, and every host that it asked. */
async function openTab(browser, options) {
  const context = await browser.newContext({ viewport: WIDE, ...options });
  const page = await context.newPage();
  const tab = { page, errors: [], hosts: new Set() };
  page.on('console', (message) => message.type() === 'error' && tab.errors.push(message.text()));
  page.on('pageerror', (error) => tab.errors.push(String(error)));
  page.on('requestfailed', (request) => tab.errors.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== 'data:' && protocol !== 'blob:') tab.hosts.add(host);
  });
  return tab;
}

function checkQuiet({ page, errors, hosts }, host) {
  check(`no error on ${page.url()}`, errors.length === 0, errors.join('\n'));
  check(`no request leaves the host of ${page.url()}`, [...hosts].every((asked) => asked === host), [...hosts].join());
  check(`${page.url()} was asked for`, hosts.size > 0);
}

async function checkPage(browser, address, path, name, options = {}) {
  const tab = await openTab(browser, { javaScriptEnabled: false, ...options });
  const answer = await tab.page.goto(address + path);
  check(`${path} is there`, answer.status() === 200, answer.status());
  check(`${path} has a heading`, (await tab.page.locator('h1').count()) === 1);
  const { width } = options.viewport ?? WIDE;
  const content = await tab.page.locator('html').evaluate((html) => html.scrollWidth);
  check(`${path} fits into ${width} pixels`, content <= width, content);
  await tab.page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  checkQuiet(tab, new URL(address).host);
  const links = await tab.page.locator('a[href]').evaluateAll((all) => all.map((link) => link.href));
  await tab.page.context().close();
  return links;
}

/** Presses Execute, and returns the status that Swagger UI shows. */
async function tryOut(page, operation) {
  const section = page.locator(`[id$="-${operation}"]`);
  await section.locator('.opblock-summary-control').click();
  await section.getByRole('button', { name: 'Execute' }).click();
  const status = section.locator('.live-responses-table .response .response-col_status');
  return (await status.first().innerText()).trim().split(/\s/)[0];
}

async function checkSwaggerUi(browser, address) {
  const tab = await openTab(browser);
  await tab.page.goto(`${address}/docs/rest`);
  check('/docs/rest leads to a folder', tab.page.url() === `${address}/docs/rest/`, tab.page.url());
  await tab.page.locator('.opblock').first().waitFor();
  await tab.page.screenshot({ path: join(folder, 'rest.png'), fullPage: true });
  const created = await tryOut(tab.page, 'createSensor');
  check('POST /sensors as it stands', created === '201', created);
  const listed = await tryOut(tab.page, 'listSensors');
  check('GET /sensors as it stands', listed === '200', listed);
  await tab.page.screenshot({ path: join(folder, 'rest-tried-out.png'), fullPage: true });
  checkQuiet(tab, new URL(address).host);
  await tab.page.context().close();
}

async function checkLinks(links, address) {
  const own = new Set(links.map((link) => link.replace(PUBLIC_URL, address).split('#')[0]));
  for (const link of own) {
    const answer = await fetch(link);
    check(`${link} leads somewhere`, answer.status === 200, answer.status);
  }
}

await mkdir(folder, { recursive: true });
const service = await startService(binary);
// No name is known to it, so that whatever it would load from elsewhere fails.
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  chromiumSandbox: false,
  args: [...FLAGS, '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
});
try {
  const { address } = service;
  const links = [
    ...(await checkPage(browser, address, '/docs', 'overview')),
    ...(await checkPage(browser, address, '/docs/events', 'events')),
    ...(await checkPage(browser, address, '/problems/name-taken', 'problem')),
  ];
  await checkPage(browser, address, '/docs', 'overview-dark', { colorScheme: 'dark' });
  await checkPage(browser, address, '/docs', 'overview-narrow', { viewport: NARROW });
  await checkPage(browser, address, '/docs/events', 'events-dark-narrow', { viewport: NARROW, colorScheme: 'dark' });
  await checkSwaggerUi(browser, address);
  await checkLinks(links, address);
} finally {
  await browser.close();
  await service.stop();
}
console.log(`pages: ${checks} checks passed; screenshots in ${folder}`);

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
const NARROWEST = { width: 320, height: 640 };
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
  const inText = tab.page.locator('main p a, main li a');
  const lines = await inText.evaluateAll((all) => all.map((link) => getComputedStyle(link).textDecorationLine));
  check(`links in the text of ${path} are told by more than a colour`, lines.every((line) => line === 'underline'), lines);
  await tab.page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  checkQuiet(tab, new URL(address).host);
  const links = await tab.page.locator('a[href]').evaluateAll((all) => all.map((link) => link.href));
  await tab.page.context().close();
  return links;
}

// Not the service, whose documents take Swagger UI half a minute to show.
const TAGS = ['sensors', 'events'];

/** Every operation of these tags, as they stand on the page from top to bottom. */
async function operationsOf(page, tags) {
  const ids = await page.locator('.opblock').evaluateAll((all) => all.map(({ id }) => id.split('-')));
  return ids.filter(([, tag]) => tags.includes(tag)).map(([, , operation]) => operation);
}

const sectionOf = (page, operation) => page.locator(`[id$="-${operation}"]`);

/** Presses Execute, and returns the status and the body that Swagger UI shows. */
async function execute(page, operation) {
  const section = sectionOf(page, operation);
  const clear = section.getByRole('button', { name: 'Clear', exact: true });
  if (await clear.isVisible()) await clear.click();
  await section.getByRole('button', { name: 'Execute' }).click();
  const answer = section.locator('.live-responses-table .response').first();
  const status = (await answer.locator('.response-col_status').innerText()).trim().split(/\s/)[0];
  return { status, body: await answer.locator('.response-col_description').innerText() };
}

/** Enters the filter by metadata as the page tells it, and sees that it was one. */
async function checkMetadataFilter(page) {
  await page.request.post(new URL('/sensors', page.url()).href, { data: { name: 'found', metadata: { room: 'cellar' } } });
  const row = sectionOf(page, 'listSensors').locator('tr[data-param-name="metadata"]');
  const told = (await row.locator('.renderedMarkdown').innerText()).split('For example').at(-1).trim();
  for (const [entered, finds] of [[told, true], [told.replace('cellar', 'attic'), false]]) {
    await row.locator('textarea').fill(entered);
    const { status, body } = await execute(page, 'listSensors');
    check(`the filter ${entered}`, status === '200' && body.includes('"name": "found"') === finds, `${status} ${body}`);
  }
  await row.locator('textarea').fill('{}');
}

const toggle = (page, operation) => sectionOf(page, operation).locator('.opblock-summary-control').click();

/** Tries everything out on a new service, from top to bottom and with nothing entered. */
async function checkTryingOut(page, tags) {
  const operations = await operationsOf(page, tags);
  check('there are operations', operations.length >= 10, operations.join());
  const shown = { listSensors: 'boiler-temp', listEvents: 'created', listSensorEvents: 'created', readSensor: 'boiler-temp' };
  for (const operation of operations) {
    await toggle(page, operation);
    const { status, body } = await execute(page, operation);
    check(`${operation} as it stands`, status.startsWith('2'), `${status} ${body}`);
    check(`${operation} shows something`, body.includes(shown[operation] ?? ''), body);
    if (operation === 'listSensors') await checkMetadataFilter(page);
    if (operation === 'createSensor') {
      const again = await execute(page, operation);
      check('what is sent again is another request', again.status === '409', again.status);
    }
    if (operation === 'patchSensor') {
      const mediaTypes = sectionOf(page, operation).locator('.opblock-section-request-body .content-type');
      await mediaTypes.selectOption('application/json-patch+json');
      const tested = await execute(page, operation);
      check('a JSON Patch after the merge patch', tested.status === '200', `${tested.status} ${tested.body}`);
    }
    // Swagger UI gets slower with all that is open.
    if (operation !== operations.at(-1)) await toggle(page, operation);
  }
}

async function checkSwaggerUi(browser, address, tags, name) {
  const tab = await openTab(browser);
  await tab.page.goto(`${address}/docs/rest`);
  check('/docs/rest leads to a folder', tab.page.url() === `${address}/docs/rest/`, tab.page.url());
  check('/docs/rest/ has a title of ours', (await tab.page.title()) === 'REST · sensorcast', await tab.page.title());
  await tab.page.locator('.opblock').first().waitFor();
  await tab.page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  await checkTryingOut(tab.page, tags);
  await tab.page.screenshot({ path: join(folder, `${name}-tried-out.png`), fullPage: true });
  // Chromium tells of the 409 that was meant.
  tab.errors = tab.errors.filter((error) => !error.includes('409'));
  checkQuiet(tab, new URL(address).host);
  await tab.page.context().close();
}

async function checkSwaggerUiOnATelephone(browser, address) {
  const tab = await openTab(browser, { viewport: NARROW, isMobile: true });
  await tab.page.goto(`${address}/docs/rest/`);
  await tab.page.locator('.opblock').first().waitFor();
  const shown = await tab.page.evaluate(() => window.innerWidth);
  check('/docs/rest/ is as wide as the screen', shown === NARROW.width, shown);
  await tab.page.screenshot({ path: join(folder, 'rest-narrow.png') });
  await tab.page.context().close();
}

/** The width of a page with an operation open in it, and whether its text is as high as the code in it. */
async function checkAnOpenOperation(browser, address) {
  const tab = await openTab(browser, { viewport: NARROWEST });
  await tab.page.goto(`${address}/docs/rest/`);
  await toggle(tab.page, 'patchSensor');
  await sectionOf(tab.page, 'patchSensor').locator('.responses-table').first().waitFor();
  const content = await tab.page.locator('html').evaluate((html) => html.scrollWidth);
  await sectionOf(tab.page, 'patchSensor').screenshot({ path: join(folder, 'rest-narrow-open.png') });
  check(`an operation fits into ${NARROWEST.width} pixels`, content <= NARROWEST.width, content);
  await tab.page.setViewportSize(WIDE);
  await sectionOf(tab.page, 'patchSensor').screenshot({ path: join(folder, 'rest-open.png') });
  const codes = sectionOf(tab.page, 'patchSensor').locator('.renderedMarkdown :is(p, li, td) > code');
  const covering = await codes.evaluateAll((all) => {
    const isHigher = (code) => code.getClientRects()[0].height > parseFloat(getComputedStyle(code.parentElement).lineHeight);
    return all.filter(isHigher).map((code) => code.outerHTML);
  });
  check('there is code in the text', (await codes.count()) > 0);
  check('no code covers the line above it', covering.length === 0, covering);
  await tab.page.context().close();
}

async function checkSwaggerUiInTheDark(browser, address) {
  const tab = await openTab(browser, { colorScheme: 'dark' });
  await tab.page.goto(`${address}/docs/rest/`);
  await tab.page.locator('.opblock').first().waitFor();
  await tab.page.screenshot({ path: join(folder, 'rest-dark.png') });
  await toggle(tab.page, 'patchSensor');
  await execute(tab.page, 'patchSensor');
  const [paper, ...inks] = await tab.page.evaluate(() => {
    const brightness = (colour) => colour.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
    const texts = ['.opblock-tag', '.header-col', '.examples-select__section-label'];
    const colours = texts.map((text) => getComputedStyle(document.querySelector(text)).color);
    return [getComputedStyle(document.documentElement).backgroundColor, ...colours].map(brightness);
  });
  const isDark = paper < 200 && inks.every((ink) => ink > 500);
  check('/docs/rest/ is dark where the other pages are, and its text is not', isDark, `${paper} ${inks}`);
  await sectionOf(tab.page, 'patchSensor').screenshot({ path: join(folder, 'rest-dark-open.png') });
  await tab.page.emulateMedia({ colorScheme: 'light' });
  // When it does not follow the system, this fails in the end.
  await tab.page.waitForFunction(() => !document.documentElement.classList.contains('dark-mode'));
  // The sensor is deleted when everything was tried out.
  tab.errors = tab.errors.filter((error) => !error.includes('404'));
  checkQuiet(tab, new URL(address).host);
  await tab.page.context().close();
}

/** Without its scripts the page says where the same is found. */
async function checkSwaggerUiWithoutScripts(browser, address) {
  const tab = await openTab(browser);
  await tab.page.route('**/*.js', (route) => route.abort());
  await tab.page.goto(`${address}/docs/rest/`);
  const link = tab.page.getByRole('link', { name: 'openapi.yaml' });
  check('a page without its scripts says so', await link.isVisible());
  check('and leads to the document', (await link.evaluate(({ href }) => href)) === `${address}/openapi.yaml`);
  await tab.page.screenshot({ path: join(folder, 'rest-without-scripts.png') });
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
const careful = await startService(binary, { REQUIRE_IF_MATCH: 'true' });
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
    ...(await checkPage(browser, address, '/problems', 'problems')),
    ...(await checkPage(browser, address, '/problems/name-taken', 'problem')),
  ];
  await checkPage(browser, address, '/docs', 'overview-dark', { colorScheme: 'dark' });
  await checkPage(browser, address, '/docs', 'overview-narrow', { viewport: NARROWEST });
  await checkPage(browser, address, '/docs/events', 'events-narrow', { viewport: NARROWEST });
  await checkPage(browser, address, '/docs/events', 'events-dark-narrow', { viewport: NARROW, colorScheme: 'dark' });
  await checkSwaggerUi(browser, address, TAGS, 'rest');
  await checkSwaggerUiInTheDark(browser, address);
  await checkSwaggerUiWithoutScripts(browser, address);
  await checkSwaggerUi(browser, careful.address, ['sensors'], 'rest-careful');
  await checkSwaggerUiOnATelephone(browser, address);
  await checkAnOpenOperation(browser, address);
  await checkLinks(links, address);
} finally {
  await browser.close();
  await service.stop();
  await careful.stop();
}
console.log(`pages: ${checks} checks passed; screenshots in ${folder}`);

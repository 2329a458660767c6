/**
 * The operators' page in a real browser: two people release what is held, one watches a broadcast leave and halts it by hand
 * and by keyboard, nothing from outside becomes markup, and it can be read: in dark and light, at 360 pixels.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import {
  type Browser,
  type BrowserContext,
  chromium,
  type Page,
  type Route,
} from 'playwright-core';
import type { HeldCall } from '../../src/guard/hold.ts';
import type { HaltRow } from '../../src/store/permits-and-halts.ts';
// biome-ignore lint/correctness/useImportExtensions: plain JavaScript, its types beside it
import * as inPage from '../support/in-page.mjs';
import { programPath, reasonToSkip } from '../support/interop/programs.ts';
import { type ScriptedSink, startScriptedSink } from '../support/scripted-sink.ts';
import { Installation } from '../support/serve-process.ts';
import { type Sink, startSink } from '../support/sink-process.ts';

const skip = reasonToSkip(['chromium']);
const KEY = 'a key of the test';
const ARGS =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';
/** Runs wherever it comes to stand as markup: as an element, behind a closed attribute, as a script. */
const PAYLOAD = `"><img src=nothing onerror="window.ran=1"><script>window.ran=1</script><svg onload="window.ran=1">`;
const HOSTILE_NAME = `news${PAYLOAD}`;
const ELEMENTS = 'img[src=nothing], svg[onload], script:not([src])';
const NARROW = { width: 360, height: 740 };

describe('the operators’ page in Chromium', { skip }, () => {
  let at: Installation;
  let sink: Sink;
  let next: ScriptedSink;
  let browser: Browser;
  let folder: string;
  let origin = '';
  const contexts = new Map<string, BrowserContext>();
  /** What the browser complains of: errors, and what the policy has stopped. */
  const complaints: string[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'undisclosed-chromium-'));
    sink = await startSink(join(folder, 'sink.tsv'), { delayMs: 100, refusePercent: 5 });
    next = await startScriptedSink({
      answer: ({ content }) =>
        content === null ? undefined : `250 2.0.0 ${PAYLOAD} queued as <svg/onload=1>\r\n`,
    });
    at = await Installation.make({
      ...{ people: 900, seed: 6 },
      config: {
        companyDomains: ['northwind.example'],
        gates: {
          smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${next.port}`, tls: 'none' },
          callers: [
            {
              ...{ name: HOSTILE_NAME, policy: 'bulk', split: true },
              keySha256: createHash('sha256').update(KEY).digest('hex'),
            },
          ],
        },
      },
    });
    origin = at.serving.lines.find((line) => line.startsWith('console '))?.slice(8) ?? '';
    browser = await chromium.launch({
      executablePath: programPath('chromium'),
      args: ARGS.split(' '),
    });
  });
  after(async () => {
    await browser?.close();
    await at?.close();
    await sink?.stop();
    await next?.close();
    await rm(folder, { recursive: true, force: true });
  });

  function watch(page: Page): void {
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
  }

  /** A new page of this operator, who signs in with the first. */
  async function pageOf(operator: string, path = '/'): Promise<Page> {
    const known = contexts.get(operator);
    const context = known ?? (await browser.newContext());
    contexts.set(operator, context);
    const page = await context.newPage();
    watch(page);
    if (known === undefined) {
      const link = await at.api<{ url: string }>(operator, 'POST', '/v1/console/links', {});
      await page.goto(link.url);
      await page.getByRole('button', { name: `Sign in as ${operator}` }).click();
      await page.getByRole('heading', { name: 'disclosures kept from happening' }).waitFor();
    }
    await page.goto(`${origin}${path}`);
    return page;
  }

  const held = (): Promise<HeldCall[]> => at.api('alice', 'GET', '/v1/guard/held');

  async function hold(mark: string): Promise<string> {
    const before = new Set((await held()).map(({ kept }) => kept));
    const line = at.serving.lines.find((each) => each.startsWith('gate smtp-relay '));
    const transport = createTransport({
      ...{ host: '127.0.0.1', port: Number(line?.split(':').at(-1)), ignoreTLS: true },
      auth: { user: 'news', pass: KEY },
    });
    await transport.sendMail({
      ...{ from: 'news@northwind.example', to: { name: PAYLOAD, address: 'ann@home.example' } },
      ...{ subject: `${mark} ${PAYLOAD} \u202egnp.exe`, headers: { 'X-Note': PAYLOAD } },
      text: `Dear {{ first_name }} ${PAYLOAD},\n\nDear ${PAYLOAD}, ${mark}\n`,
      html: `<p>Dear ${PAYLOAD}</p>`,
    });
    transport.close();
    return (await held()).find(({ kept }) => !before.has(kept))?.kept ?? '';
  }

  async function assertInert(page: Page, what: string): Promise<void> {
    assert.equal(await page.evaluate(inPage.hasRun), false, what);
    assert.equal(await page.locator(ELEMENTS).count(), 0, `${what}: no element of it`);
  }

  test('the payload runs where it stands in a page as it is: the tests below can see it', async () => {
    const page = await (await browser.newContext()).newPage();
    await page.setContent(`<input value="${PAYLOAD}">`);
    await page.waitForFunction(inPage.hasRun, null, {
      timeout: 5000,
    });
    assert.ok((await page.locator(ELEMENTS).count()) >= 3);
    await page.close();
  });

  test('nothing from outside becomes markup: a name, a subject, a header, a text, an identity', async () => {
    const id = await hold('inert');
    const page = await pageOf('alice');
    await page.getByText('As they come').waitFor();
    assert.ok((await page.textContent('#newest'))?.includes(PAYLOAD), 'the identity, as text');
    await assertInert(page, 'the overview');
    for (const path of [
      '/held',
      '/verdicts',
      `/verdicts?identity=${encodeURIComponent(PAYLOAD)}`,
    ]) {
      await page.goto(`${origin}${path}`);
      assert.ok((await page.content()).includes('&lt;img src=nothing'), path);
      await assertInert(page, path);
    }
    await page.goto(`${origin}/held/${id}`);
    await page.locator('#look-reason').fill(PAYLOAD);
    await page.getByRole('button', { name: 'Show the message' }).click();
    const message = page.locator('#message');
    await message.locator('mark').first().waitFor();
    const text = (await message.textContent()) ?? '';
    assert.match(text, /X-Note: .*<img src=nothing/);
    assert.match(text, /Subject: inert .*<script>window\.ran=1/);
    assert.match(text, /\[U\+202E\]gnp\.exe/, 'what turns the direction of writing is shown');
    assert.match(text, /Dear "><img src=nothing/);
    assert.doesNotMatch(text, /ann@home\.example/);
    await assertInert(page, 'the message');
    await page.close();
  });

  test('a release by one is refused; two release it; what the far side answers is text', async () => {
    const id = await hold('release');
    const taken = next.contents.length;
    const alice = await pageOf('alice', `/held/${id}`);
    await alice.locator('#decide-reason').fill('the name is optional here');
    await alice.getByRole('button', { name: 'Ask for its release' }).click();
    await alice.getByText('Another operator has to confirm it').waitFor();
    assert.equal(await alice.getByRole('button', { name: /release/i }).count(), 0);
    // Whoever sends the form all the same is told so.
    const csrf = await alice.locator('#held-decision [name=csrf]').inputValue();
    const again = await alice.request.post(`${origin}/held/${id}/decide`, {
      form: { csrf, deed: 'release', reason: 'me again' },
      headers: { origin },
    });
    assert.equal(again.status(), 422);
    assert.match(await again.text(), /Who asked for a release cannot confirm it\./);
    await sleep(300);
    assert.equal(next.contents.length, taken, 'nothing has left');
    const bob = await pageOf('bob', `/held/${id}`);
    await bob.getByText('alice asked for its release').waitFor();
    await bob.locator('#decide-reason').fill('agreed');
    await bob.getByRole('button', { name: 'Confirm the release' }).click();
    await bob.getByText('released, delivered').waitFor({ timeout: 15_000 });
    // Alice's page says so by itself.
    await alice.getByText('released, delivered').waitFor({ timeout: 15_000 });
    assert.equal(next.contents.length, taken + 1);
    const db = await at.db();
    await db.query('UPDATE kept_delivery SET answer = $1, upstream_id = $1 WHERE kept = $2', [
      PAYLOAD,
      id,
    ]);
    await bob.reload();
    assert.ok((await bob.textContent('#held-status'))?.includes(PAYLOAD));
    await assertInert(bob, 'the answers of the far side');
    await alice.close();
    await bob.close();
  });

  test('one refuses, and nothing of it leaves', async () => {
    const id = await hold('refuse');
    const taken = next.contents.length;
    const bob = await pageOf('bob', '/held');
    await bob.locator(`#${id} a`).click();
    await bob.locator('#decide-reason').fill('the wrong template');
    await bob.getByRole('button', { name: 'Refuse' }).click();
    await bob.locator('#held-status').getByText('Decided by').waitFor();
    assert.match((await bob.textContent('#held-status')) ?? '', /refused/);
    await sleep(300);
    const copies = next.contents
      .slice(taken)
      .filter((content) => content.includes('first_name }} '));
    assert.equal(copies.filter((content) => !/multipart\/report/.test(content)).length, 0);
    await bob.close();
  });

  test('one watches a broadcast leave, and halts it by hand: nothing more arrives', async () => {
    const id = await at.approved(`smtp://127.0.0.1:${sink.port}?tls=none&connections=2`, [
      ...['--name', `Notice ${PAYLOAD}`, '--rings', '100'],
    ]);
    const page = await pageOf('alice', `/broadcasts/${id}`);
    await page.getByText(`undisclosed broadcast release ${id} --as NAME`).waitFor();
    const done = async (): Promise<number> =>
      Number(
        ((await page.locator('.sending-figures dd b').first().textContent()) ?? '').replace(
          /,/g,
          '',
        ),
      );
    const release = at.release(id);
    await page
      .locator('.sending-figures')
      .waitFor({ timeout: 60_000 })
      .catch(async () => {
        const { state, release, standsBecause } = await at.status(id);
        assert.fail(
          JSON.stringify({
            state,
            release,
            standsBecause,
            shown: await page.textContent('main'),
            complaints,
          }),
        );
      });
    const first = await done();
    await sink.reaches(60, 30_000);
    await page.waitForFunction(inPage.doneIsAbove, first + 40, { timeout: 20_000 });
    assert.ok((await page.locator('.plot canvas').count()) > 0, 'the plot is drawn');
    await page.waitForFunction(inPage.finishTimeIsShown, null, { timeout: 20_000 });
    await page.locator('#replies').getByText('550 5.1.1').first().waitFor({ timeout: 20_000 });
    await page.getByRole('button', { name: 'Halt this broadcast' }).click();
    assert.equal(await page.getByLabel('This broadcast').isChecked(), true);
    await page.getByRole('button', { name: 'Halt now' }).click();
    await page.getByRole('heading', { name: 'Halted' }).waitFor();
    const taken = sink.taken();
    await release;
    await sleep(1500);
    // One message for each connection may have been handed over before; its answer is still counted.
    assert.ok(sink.taken() - taken <= 2, `${sink.taken() - taken} more`);
    const settled = sink.taken();
    await sleep(1000);
    assert.equal(sink.taken(), settled, 'nothing more arrives');
    assert.ok(settled < 900, 'it was stopped in the middle');
    const [halt] = await at.api<HaltRow[]>('bob', 'GET', '/v1/halts');
    assert.deepEqual([halt?.by, halt?.scope, halt?.broadcast_id], ['alice', 'broadcast', id]);
    await page.goto(`${origin}/broadcasts/${id}`);
    await page.locator('#state').getByText('halted').waitFor();
    const db = await at.db();
    await db.query('UPDATE outcome SET reply = $1 WHERE state <> 0', [PAYLOAD]);
    await page.locator('#replies').getByText(PAYLOAD).first().waitFor({ timeout: 15_000 });
    assert.ok((await page.textContent('h1'))?.includes(PAYLOAD), 'the name as it is');
    await assertInert(page, 'the broadcast');
    const bob = await pageOf('bob', '/halts');
    for (const [who, name] of [
      [page, 'Ask to resume'],
      [bob, 'Resume, as alice asks'],
    ] as const) {
      await who.goto(`${origin}/halts`);
      await who.getByRole('button', { name }).click();
    }
    await bob.getByText('No halt is in force').waitFor();
    await page.close();
    await bob.close();
  });

  test('a page is live in whichever order its scripts come', async () => {
    const page = await pageOf('alice', '/held');
    const bare = `**/assets/htmx-sse-*`;
    for (const late of [bare, '**/assets/htmx-????????????????.js', '**/assets/console-*']) {
      const context = await browser.newContext({
        storageState: await page.context().storageState(),
      });
      const other = await context.newPage();
      await other.route(late, async (route) => {
        await sleep(500);
        await route.continue();
      });
      const stream = other.waitForRequest('**/live/**', { timeout: 10_000 });
      await other.goto(`${origin}/held`);
      await stream;
      await context.close();
    }
    await page.close();
  });

  test('a page whose stream was refused, or cut, says so and comes alive by itself; one without a session is signed out', async () => {
    const page = await (await browser.newContext()).newPage();
    const link = await at.api<{ url: string }>('bob', 'POST', '/v1/console/links', {});
    await page.goto(link.url);
    await page.getByRole('button', { name: 'Sign in as bob' }).click();
    await page.getByRole('heading', { name: 'disclosures kept from happening' }).waitFor();
    for (const refused of [
      (route: Route) => route.fulfill({ status: 503, body: 'too many pages are open' }),
      (route: Route) => route.abort('connectionreset'),
    ]) {
      await page.route('**/live/**', refused);
      await page.goto(`${origin}/verdicts`);
      await page.locator('#live.off').waitFor();
      await page.unroute('**/live/**');
      await page.locator('#live:not(.off)').waitFor();
    }
    await page.route('**/live/**', (route) => route.fulfill({ status: 401, body: '' }));
    await page.goto(`${origin}/verdicts`);
    await page.waitForURL('**/signed-out');
    await page.close();
  });

  test('with the keyboard alone Halt is two keys away from anywhere, and Enter halts', async () => {
    const page = await pageOf('alice', '/verdicts');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    const dialog = page.locator('#halt-dialog');
    await dialog.waitFor();
    assert.equal(await page.evaluate(inPage.focusedText), 'Halt now');
    assert.equal(await dialog.getByLabel('All bulk mail').isChecked(), true);
    await page.keyboard.press('Escape');
    assert.equal(await dialog.isVisible(), false);
    // What is focused can be seen, whatever it is.
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate(inPage.unseenFocus), '');
    }
    await page.goto(`${origin}/held`);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Halted' }).waitFor();
    const [halt] = await at.api<HaltRow[]>('bob', 'GET', '/v1/halts');
    assert.equal(halt?.scope, 'bulk');
    for (const name of ['alice', 'bob']) await at.must(['resume', halt?.id ?? '', '--as', name]);
    await page.close();
  });

  test('at 360 pixels nothing has to be scrolled sideways, and every text can be read, in dark and light', async () => {
    const id = await hold('narrow');
    const page = await pageOf('alice');
    const [broadcast] = await at.api<{ broadcast: string }[]>('alice', 'GET', '/v1/broadcasts');
    const paths = ['/', '/verdicts', '/held', `/held/${id}`, '/broadcasts', '/halts', '/halt'];
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const path of [...paths, `/broadcasts/${broadcast?.broadcast}`]) {
        await page.setViewportSize(NARROW);
        await page.goto(`${origin}${path}`);
        assert.equal(await page.evaluate(inPage.theme), colorScheme);
        const wide = await page.evaluate(inPage.width);
        assert.ok(wide <= NARROW.width, `${path} is ${wide} wide`);
        assert.deepEqual(
          await page.evaluate(inPage.faintTexts),
          [],
          `${path}, narrow, ${colorScheme}`,
        );
        await page.setViewportSize({ width: 1280, height: 900 });
        assert.deepEqual(
          await page.evaluate(inPage.faintTexts),
          [],
          `${path}, wide, ${colorScheme}`,
        );
      }
    }
    await page.evaluate(inPage.plantFaults);
    assert.ok((await page.evaluate(inPage.faintTexts)).some((text) => text.includes('planted')));
    assert.ok((await page.evaluate(inPage.width)) > 1280);
    await page.close();
  });

  test('dark or light is chosen by a button, and kept', async () => {
    const page = await pageOf('bob');
    await page.emulateMedia({ colorScheme: 'light' });
    assert.equal(await page.evaluate(inPage.theme), 'light');
    await page.getByRole('button', { name: 'Dark or light' }).click();
    assert.equal(await page.evaluate(inPage.theme), 'dark');
    await page.reload();
    assert.equal(await page.evaluate(inPage.theme), 'dark');
    await page.close();
  });

  test('without scripts a page reads as it does with them, and Halt is a page of its own', async () => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    const link = await at.api<{ url: string }>('alice', 'POST', '/v1/console/links', {});
    await page.goto(link.url);
    await page.getByRole('button', { name: 'Sign in as alice' }).click();
    assert.match((await page.textContent('#newest')) ?? '', /placeholder of the template/);
    await page.locator('.halt').click();
    await page.getByRole('heading', { name: 'Stop mail from leaving?' }).waitFor();
    await page.getByLabel('Everything').check();
    await page.getByRole('button', { name: 'Halt now' }).first().click();
    await page.getByRole('heading', { name: 'Halted' }).waitFor();
    const [halt] = await at.api<HaltRow[]>('bob', 'GET', '/v1/halts');
    assert.equal(halt?.scope, 'everything');
    for (const name of ['alice', 'bob']) await at.must(['resume', halt?.id ?? '', '--as', name]);
    await context.close();
  });

  test('every field has a name, and the browser has complained of nothing all along', async () => {
    const page = await pageOf('alice', '/verdicts');
    assert.deepEqual(await page.evaluate(inPage.namelessControls), []);
    assert.deepEqual(complaints, []);
    await page.evaluate(inPage.loadForeignImage);
    await page.waitForTimeout(500);
    assert.match(complaints.join('\n'), /Content Security Policy/, 'a breach is seen');
    await page.close();
  });
});

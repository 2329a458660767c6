/**
 * Makes the pictures of the documents.
 *
 *     node scripts/pictures.mjs [REPORT.html | --console]
 *
 * docs/pictures/road.svg is drawn here. With the report.html of a demo, docs/pictures/account.png is its upper part as
 * Chromium shows it (CHROMIUM names the program; without one the picture is left as it is). With --console,
 * docs/pictures/console-*.png are the operators' page; see console-pictures.mjs.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT = path.dirname(import.meta.dirname);
const FOLDER = path.join(ROOT, 'docs/pictures');
const SHOT = { width: 1280, height: 1560 };

const STYLE = `text{font:600 15px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;fill:#16202b}
.small{font-weight:400;font-size:12.5px;fill:#55616e}.head{font-size:13px;fill:#67737e;font-weight:600}
.box{fill:#fff;stroke:#c9d0d4;stroke-width:1.2}.good{fill:#e2f3f0;stroke:#0f766e}.bad{fill:#fbe9e7;stroke:#c2413b}.ledger{fill:#e6eef8;stroke:#2f5f9e}
.line{fill:none;stroke:#8a96a2;stroke-width:1.6;marker-end:url(#tip)}.note{fill:none;stroke:#2f5f9e;stroke-width:1.2;stroke-dasharray:2 4}
.tip{fill:#8a96a2}.paper{fill:#fbfbf9}
@media (prefers-color-scheme:dark){text{fill:#e8edf1}.small{fill:#a6b2bd}.head{fill:#8a96a2}.box{fill:#171e26;stroke:#3a4651}.good{fill:#12332f;stroke:#4cc2b4}.bad{fill:#3b1f1e;stroke:#ef7d74}.ledger{fill:#1b2c42;stroke:#86b3ea}.note{stroke:#86b3ea}.paper{fill:#10151b}}`;

const BOX = { width: 136, height: 62 };
const GAP = 24;
const LEFT = 24;
const columnX = (column) => LEFT + column * (BOX.width + GAP);

function box(column, y, title, note, kind = '') {
  const x = columnX(column);
  const middle = x + BOX.width / 2;
  return `<rect class="box ${kind}" x="${x}" y="${y}" width="${BOX.width}" height="${BOX.height}" rx="9"/><text x="${middle}" y="${y + 27}" text-anchor="middle">${title}</text><text class="small" x="${middle}" y="${y + 46}" text-anchor="middle">${note}</text>`;
}

const arrow = (column, y) =>
  `<path class="line" d="M${columnX(column) + BOX.width + 2} ${y + BOX.height / 2}H${columnX(column + 1) - 6}"/>`;

const note = (column, from, to) =>
  `<path class="note" d="M${columnX(column) + BOX.width / 2} ${from}V${to}"/>`;

function row(y, head, boxes) {
  const arrows = boxes.slice(1).map((_, column) => arrow(column, y));
  const drawn = boxes.map(([title, note, kind], column) => box(column, y, title, note, kind));
  return `<text class="head" x="${LEFT}" y="${y - 12}">${head}</text>${arrows.join('')}${drawn.join('')}`;
}

/** Both ways on one road, and the ledger that both write to. */
function road() {
  const broadcast = row(50, 'One notice to every customer', [
    ['Freeze', 'who, in which order'],
    ['Prepare', 'every message, read'],
    ['Approve', 'a second person'],
    ['Sign', 'ring by ring'],
    ['Last look', 'at the very bytes'],
    ['Send', 'each one alone', 'good'],
  ]);
  const gates = row(262, 'All other mail', [
    ['A gate', 'SMTP, provider API'],
    ['Parse', 'all readings of it'],
    ['Detect', 'who sees whom'],
    ['Decide', 'the policy'],
    ['Pass', 'to the next hop', 'good'],
  ]);
  const refuse = box(5, 262, 'or Refuse', 'nobody gets it', 'bad');
  const width = columnX(5) + BOX.width - LEFT;
  const down = [0, 1, 2, 3, 5].map((column) => note(column, 112, 148));
  const notes = [...down, note(3, 200, 262)].join('');
  const ledger = `${notes}<rect class="box ledger" x="${LEFT}" y="148" width="${width}" height="52" rx="9"/><text x="${LEFT + width / 2}" y="170" text-anchor="middle">Ledger</text><text class="small" x="${LEFT + width / 2}" y="189" text-anchor="middle">every deed of both, in a Merkle tree, its checkpoints kept elsewhere; a stranger verifies it with one file</text>`;
  const height = 348;
  const whole = columnX(5) + BOX.width + LEFT;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${whole} ${height}" role="img" aria-label="The road: freeze, prepare, approve, sign, last look, send; all other mail: a gate, parse, detect, decide, pass or refuse; both write to the ledger"><style>${STYLE}</style><defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="tip" d="M0 0L8 4L0 8Z"/></marker></defs><rect class="paper" width="${whole}" height="${height}" rx="14"/>${broadcast}${gates}${refuse}${ledger}</svg>\n`;
}

function chromium() {
  const names = [process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome'];
  return names.find(
    (name) =>
      name !== undefined && spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
  );
}

function photograph(program, report) {
  const { status } = spawnSync(
    program,
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--hide-scrollbars',
      '--blink-settings=preferredColorScheme=1',
      `--window-size=${SHOT.width},${SHOT.height}`,
      `--screenshot=${path.join(FOLDER, 'account.png')}`,
      pathToFileURL(path.resolve(report)).href,
    ],
    { stdio: 'ignore', timeout: 60_000 },
  );
  if (status !== 0) throw new Error(`${program} made no picture`);
}

mkdirSync(FOLDER, { recursive: true });
writeFileSync(path.join(FOLDER, 'road.svg'), road());
console.log('docs/pictures/road.svg');
const [, , report] = process.argv;
if (report === '--console') {
  const pinned = path.join(ROOT, `node_modules/node-linux-${process.arch}/bin/node`);
  const script = path.join(ROOT, 'scripts/console-pictures.mjs');
  process.exit(spawnSync(pinned, [script], { stdio: 'inherit' }).status ?? 2);
}
const program = report === undefined ? undefined : chromium();
if (program !== undefined) {
  photograph(program, report);
  console.log('docs/pictures/account.png');
} else if (report !== undefined) console.error('no Chromium: docs/pictures/account.png stays');

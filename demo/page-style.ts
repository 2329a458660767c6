/** The account's style sheet: light and dark, down to 360 px, and paper. */

const LIGHT = `--paper:#fbfbf9;--card:#ffffff;--ink:#16202b;--soft:#55616e;--faint:#67737e;--rule:#e3e6e8;--wash:#f2f4f4;
--good:#0f766e;--good-wash:#e2f3f0;--bad:#c2413b;--leak:#c2413b;--bad-wash:#fbe9e7;--warn:#9a6700;--warn-wash:#fbf1da;--blue:#2f5f9e;--blue-wash:#e6eef8;--shadow:0 1px 2px rgba(22,32,43,.05),0 8px 24px -12px rgba(22,32,43,.12)`;

const DARK = `--paper:#10151b;--card:#171e26;--ink:#e8edf1;--soft:#a6b2bd;--faint:#8a96a2;--rule:#28323c;--wash:#1d252e;
--good:#4cc2b4;--good-wash:#12332f;--bad:#ef7d74;--leak:#c9534b;--bad-wash:#3b1f1e;--warn:#e2b655;--warn-wash:#362b14;--blue:#86b3ea;--blue-wash:#1b2c42;--shadow:none`;

export const pageStyle: string = `
:root{color-scheme:light dark;${LIGHT}}
@media (prefers-color-scheme:dark){:root{${DARK}}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:17px/1.6 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",Arial,sans-serif;font-variant-numeric:tabular-nums}
main,header,footer{max-width:1080px;margin:0 auto;padding:0 32px}
header{padding-top:40px}
.mark{display:flex;align-items:center;gap:10px;font-weight:650;letter-spacing:-.01em}
.mark svg{width:26px;height:26px;color:var(--good)}
.mark span{color:var(--faint);font-weight:400;margin-left:auto;text-align:right;font-size:14px;line-height:1.35;letter-spacing:0}
h1{font-size:clamp(32px,5.4vw,58px);line-height:1.08;letter-spacing:-.028em;font-weight:680;margin:72px 0 20px;max-width:17em;text-wrap:balance}
h1 em{font-style:normal;color:var(--good)}
h1 em.bad{color:var(--bad)}
.lede{font-size:clamp(17px,1.9vw,20px);color:var(--soft);max-width:42em;margin:0 0 40px}
section{padding:60px 0 0}
h2{font-size:clamp(23px,2.8vw,31px);line-height:1.2;letter-spacing:-.018em;font-weight:650;margin:0 0 10px;text-wrap:balance}
h3{font-size:16px;font-weight:620;margin:0 0 4px}
p{margin:0 0 14px}
section>p{color:var(--soft);max-width:44em;margin-bottom:26px}
.card{background:var(--card);border:1px solid var(--rule);border-radius:14px;padding:26px;box-shadow:var(--shadow);min-width:0}
.numbers{display:grid;grid-template-columns:repeat(4,1fr);margin:0;padding:0;overflow:hidden}
.numbers div{display:flex;flex-direction:column-reverse;justify-content:flex-end;padding:26px;border-left:1px solid var(--rule);min-width:0}
.numbers div:first-child{border:0}
.numbers dt{font-size:14px;line-height:1.4;color:var(--soft)}
.numbers dd{margin:0 0 6px;font-size:clamp(26px,3.4vw,40px);line-height:1.1;font-weight:660;letter-spacing:-.025em}
.numbers .good dd{color:var(--good)}.numbers .bad dd{color:var(--bad)}
.two{display:grid;grid-template-columns:1fr 1fr;gap:22px}
figure{margin:0}
figure p{font-size:15px;color:var(--soft);margin:0 0 18px;min-height:4.8em}
.tag{display:inline-block;font-size:13px;font-weight:600;border-radius:99px;padding:2px 11px;background:var(--wash);color:var(--soft);white-space:nowrap}
.tag.split{background:var(--blue-wash);color:var(--blue)}
.tag.good,.tag.pass{background:var(--good-wash);color:var(--good)}
.tag.bad,.tag.refuse{background:var(--bad-wash);color:var(--bad)}
.tag.hold,.tag.defer{background:var(--warn-wash);color:var(--warn)}
figure h3{margin:12px 0 4px;font-size:19px;letter-spacing:-.01em}
.axes{display:grid;grid-template-columns:auto 1fr;gap:8px 10px;font-size:13px;color:var(--faint)}
.axes .down{writing-mode:vertical-rl;transform:rotate(180deg);text-align:center}
.axes .along{grid-column:2;display:flex;justify-content:space-between}
.matrix{display:block;width:100%;border-radius:6px;overflow:hidden}
.matrix .seen{fill:var(--leak)}.matrix .unseen{fill:var(--wash)}
.matrix .cells{fill:none;stroke:var(--card);stroke-width:.15;opacity:.32}
.matrix.oneself .cells{stroke:var(--rule);opacity:1}
.matrix .gap{stroke:var(--card);stroke-width:.6}.matrix .own{stroke:var(--good);stroke-width:.8}
.matrix .frame{fill:none;stroke:var(--rule);stroke-width:.5}
figcaption{border-top:1px solid var(--rule);margin-top:20px;padding-top:16px;font-size:15px;color:var(--soft)}
figcaption b{display:block;font-size:28px;line-height:1.2;letter-spacing:-.02em;color:var(--ink)}
.rate{display:grid;grid-template-columns:auto 1fr;gap:10px 12px;padding-top:8px}
.rate svg{display:block;width:100%;height:100%;min-height:210px;overflow:visible}
.rate .grid{fill:none;stroke:var(--rule);stroke-width:1;vector-effect:non-scaling-stroke}
.rate .area{fill:var(--good);opacity:.13}
.rate .line{fill:none;stroke:var(--good);stroke-width:2;stroke-linejoin:round;vector-effect:non-scaling-stroke}
.levels{position:relative;min-width:3.2em;font-size:13px;color:var(--faint)}
.levels span{position:absolute;right:0;transform:translateY(-50%)}
.times{grid-column:2;display:flex;justify-content:space-between;font-size:13px;color:var(--faint)}
.two>.card{display:flex;flex-direction:column}.two>.card .rate{flex:1;grid-template-rows:1fr auto}.two .tag{align-self:flex-start}
.quiet{font-size:14px;color:var(--soft);margin:0 0 16px}
.bars{list-style:none;margin:0;padding:0}
.bars li{display:grid;grid-template-columns:13.5em 1fr 4.4em;align-items:center;gap:14px;padding:7px 0;font-size:15px}
.bars small{color:var(--faint);font-size:13px}
.bars svg{display:block;width:100%;height:10px}
.two .bars li{grid-template-columns:1fr auto;gap:4px 12px}.two .bars svg{grid-row:2;grid-column:1/-1}
.bars .track{fill:var(--wash)}.bars .bar{fill:var(--blue)}
.bars .value{text-align:right}
.letters{display:grid;grid-template-columns:repeat(3,1fr);gap:18px;margin-top:22px}
.letters article{padding:20px 22px}
.letters h3{line-height:1.4}
.letters p{font-size:14px;color:var(--soft);margin:8px 0 0;overflow-wrap:anywhere;white-space:pre-line}
.letters .tag{margin-bottom:10px}
table{width:100%;border-collapse:collapse;font-size:15px;line-height:1.5}
.wide{padding:6px 26px}
th{text-align:left;font-size:13px;font-weight:600;color:var(--faint);padding:14px 16px 10px 0;vertical-align:bottom}
td{padding:16px 16px 16px 0;border-top:1px solid var(--rule);vertical-align:top}
td:last-child,th:last-child{padding-right:0}
td small{display:block;color:var(--soft);font-size:14px;overflow-wrap:anywhere}
td .tag{margin-bottom:4px}
table{table-layout:fixed}th:first-child{width:30%}th.number{width:15%}th:last-child{width:22%}
td.number{font-weight:600;white-space:nowrap;text-align:right;padding-right:28px}
th.number{text-align:right;padding-right:28px}
.hands{display:flex;gap:18px;margin-bottom:22px}
.hands .card{flex:1;padding:18px 22px}
.hands small,.proof small{display:block;color:var(--faint);font-size:13px}
.hands b{font-weight:620;overflow-wrap:anywhere}
.proof{display:grid;gap:22px}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:13px;line-height:1.65}
pre{margin:8px 0 0;padding:16px 18px;background:var(--wash);border-radius:9px;white-space:pre-wrap;overflow-wrap:anywhere}
.root{display:block;margin-top:6px;font-size:15px;color:var(--good);overflow-wrap:anywhere}
.proof ol{margin:8px 0 0;padding-left:1.3em;color:var(--soft);font-size:15px}
.proof li{margin-bottom:6px}
footer{margin-top:72px;padding-top:22px;padding-bottom:56px;font-size:14px;color:var(--faint)}
footer p{border-top:1px solid var(--rule);padding-top:22px;max-width:none}
@media (max-width:860px){.numbers{grid-template-columns:1fr 1fr}.numbers div:nth-child(3){border-left:0}.numbers div:nth-child(n+3){border-top:1px solid var(--rule)}.letters{grid-template-columns:1fr 1fr}}
@media screen and (max-width:720px){body{font-size:16px}main,header,footer{padding-left:18px;padding-right:18px}header{padding-top:24px}h1{margin-top:44px}section{padding-top:48px}
.card{padding:20px 18px}.two,.letters{grid-template-columns:1fr}.numbers{padding:0}.numbers div{padding:18px}figure p{min-height:0}.hands{flex-direction:column}
.bars li{grid-template-columns:1fr auto;gap:4px 12px}.bars svg{grid-row:2;grid-column:1/-1}
.wide{padding:2px 18px}thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}tr{display:block;border-top:1px solid var(--rule);padding:16px 0}tbody tr:first-child{border:0}
td{display:block;border:0;padding:0 0 12px}td::before{content:attr(data-label);display:block;font-size:13px;color:var(--faint)}td:first-child::before{content:none}td:last-child{padding-bottom:0}td.number{text-align:left}}
@media print{:root{color-scheme:light;${LIGHT};--paper:#fff;--shadow:none}body{font-size:11pt;-webkit-print-color-adjust:exact;print-color-adjust:exact}main,header,footer{max-width:none;padding-left:0;padding-right:0}header{padding-top:0}h1{font-size:30pt;margin-top:24pt}
section{padding-top:26pt}.card,figure,tr,article{break-inside:avoid}h2,h2+p{break-after:avoid}.two{grid-template-columns:1fr 1fr}.letters{grid-template-columns:repeat(3,1fr)}}
`;

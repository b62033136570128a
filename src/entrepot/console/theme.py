"""The one theme: colours, type, spacing. Dense, calm, readable in both languages, down to phone width."""

FONT = "'Inter','Noto Sans','Noto Sans SC','Noto Sans CJK SC','PingFang SC','Microsoft YaHei',system-ui,sans-serif"
INK, TEAL, AMBER, RED, GREEN, BLUE, MUTED = "#14212b", "#0f766e", "#b45309", "#b42318", "#15803d", "#1d4ed8", "#5b6b78"

CSS = """
:root{--ink:#14212b;--muted:#5b6b78;--line:#dfe5ea;--paper:#ffffff;--ground:#f3f5f7;--nav:#10202b;--nav-ink:#c9d6df;
--accent:#0f766e;--accent-soft:#e3f2f0;--amber:#b45309;--amber-soft:#fdf1dc;--red:#b42318;--red-soft:#fdeae8;
--green:#15803d;--green-soft:#e5f5ea;--blue:#1d4ed8;--blue-soft:#e6edfd;--radius:6px}
body{font-family:FONT;color:var(--ink);background:var(--ground);font-size:14px;line-height:1.45}
.nicegui-content{padding:0!important;gap:0!important;align-items:stretch!important;width:100%}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
:focus-visible{outline:2px solid var(--accent)!important;outline-offset:2px}
.navcell{background:var(--nav)}.side{min-width:0;display:flex;flex-direction:column}.part{min-width:0}
.navcell,.part:empty{min-width:0}
.menu{border:0;background:none;padding:4px;color:var(--ink);cursor:pointer;line-height:0}
.bell{position:relative;color:var(--muted);display:inline-flex;padding:4px}.bell i{font-size:21px}
.bell b{position:absolute;top:-3px;right:-5px;background:var(--red);color:#fff;font-size:10px;line-height:1;font-weight:600;
border-radius:99px;padding:3px 5px}
.brand.dark{color:var(--ink);padding:0}.brand.dark small{color:var(--muted)}
.hints{border-top:1px solid var(--line);padding-top:10px}.hintlist{display:flex;flex-direction:column;max-height:240px;overflow:auto}
.hintlist .q-btn{min-height:28px;font-size:13px}.hintlist .q-btn__content{justify-content:flex-start}
.big{font-size:34px;line-height:1.1;margin:0}
a.btn{display:inline-block;background:var(--accent);color:#fff;border-radius:var(--radius);padding:7px 14px;align-self:flex-start}
[data-copy]{cursor:copy}.copied{outline:2px solid var(--accent);border-radius:3px}
dl.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:5px 16px;margin:0;font-size:13px}
dl.facts dt{color:var(--muted)}dl.facts dd{margin:0;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.tanks{display:grid;grid-template-columns:repeat(auto-fill,minmax(290px,1fr));gap:12px}
.tankcard{display:grid;grid-template-columns:130px minmax(0,1fr);gap:14px;align-items:center}
.tankcard h2{margin-bottom:4px}.tankcard svg{display:block}
.actions{display:flex;gap:8px;flex-wrap:wrap}.actions .q-btn{font-size:13px}
.steps{list-style:none;margin:0;padding:0}.steps li{padding:8px 0;border-bottom:1px solid #edf1f4;display:flex;gap:12px;flex-wrap:wrap}
.steps li:last-child{border:0}.steps time{color:var(--muted);font-variant-numeric:tabular-nums;white-space:nowrap}
pre.json{margin:0;padding:12px 14px;background:#0f1d27;color:#d7e3ea;border-radius:var(--radius);overflow:auto;font-size:12px;
line-height:1.5;max-height:420px;font-family:ui-monospace,'DejaVu Sans Mono',monospace}
.q-btn.q-btn--dense{min-height:28px}
.skip{position:absolute;left:-999px}.skip:focus{left:8px;top:8px;background:#fff;padding:6px 10px;z-index:9999}
.frame{display:grid;grid-template-columns:216px minmax(0,1fr);min-height:100vh;width:100%}
.nav{background:var(--nav);color:var(--nav-ink);padding:14px 10px;display:flex;flex-direction:column;gap:2px;
position:sticky;top:0;height:100vh;overflow:auto}
.brand{display:flex;align-items:center;gap:10px;color:#fff;font-weight:650;font-size:16px;padding:4px 8px 14px}
.brand small{display:block;font-weight:400;font-size:11px;color:#8fa3b1;letter-spacing:.02em}
.nav a{display:flex;gap:10px;align-items:center;color:var(--nav-ink);padding:7px 9px;border-radius:var(--radius)}
.nav a:hover{background:#1b303e;text-decoration:none;color:#fff}.nav a.here{background:#1f3a4a;color:#fff}
.nav .group{font-size:11px;color:#7f95a3;padding:14px 9px 4px;text-transform:uppercase;letter-spacing:.06em}
.nav i{font-size:18px;opacity:.85}
.top{display:flex;align-items:center;gap:14px;padding:10px 22px;background:var(--paper);border-bottom:1px solid var(--line);
position:sticky;top:0;z-index:5;min-height:54px}
.top h1{font-size:17px;font-weight:650;margin:0;line-height:1.2;flex:1;min-width:0;letter-spacing:-.005em}
.who{text-align:right;font-size:12px;color:var(--muted);line-height:1.25}.who b{color:var(--ink);font-weight:600;display:block}
.main{padding:18px 22px 40px;display:flex;flex-direction:column;gap:16px;min-width:0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:12px}
.card{background:var(--paper);border:1px solid var(--line);border-radius:var(--radius);padding:14px 16px;min-width:0}
.card h2,.panel h2{font-size:13px;font-weight:650;margin:0 0 8px;line-height:1.3}
.stat .k{font-size:12px;color:var(--muted)}.stat .v{font-size:22px;font-weight:650;font-variant-numeric:tabular-nums;
letter-spacing:-.01em;line-height:1.25}.stat .n{font-size:12px;color:var(--muted)}
.panel{background:var(--paper);border:1px solid var(--line);border-radius:var(--radius);min-width:0}
.panel>header{display:flex;align-items:center;gap:10px;padding:11px 16px;border-bottom:1px solid var(--line);flex-wrap:wrap}
.panel>header h2{margin:0;flex:1}.panel>.body{padding:14px 16px}
.two{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:16px}
.scroll{overflow-x:auto}
table.t{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13px}
table.t th{font-weight:600;color:var(--muted);text-align:left;font-size:12px;padding:7px 12px;border-bottom:1px solid var(--line);
white-space:nowrap;background:#fafbfc}
table.t td{padding:7px 12px;border-bottom:1px solid #edf1f4;vertical-align:top}
table.t tr:last-child td{border-bottom:0}table.t tbody tr:hover{background:#f7fafb}
table.t .num{text-align:right;white-space:nowrap}table.t .id,.id{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:12px}
.empty{padding:26px 16px;text-align:center;color:var(--muted)}.empty b{display:block;color:var(--ink);margin-bottom:2px}
.tag{display:inline-block;padding:1px 8px;border-radius:99px;font-size:12px;font-weight:550;background:#edf1f4;color:#3d4d59;
white-space:nowrap}
.tag.ok{background:var(--green-soft);color:var(--green)}.tag.warn{background:var(--amber-soft);color:var(--amber)}
.tag.bad{background:var(--red-soft);color:var(--red)}.tag.info{background:var(--blue-soft);color:var(--blue)}
.note{border-left:3px solid var(--accent);background:var(--accent-soft);padding:10px 14px;border-radius:0 var(--radius) var(--radius) 0}
.note.bad{border-color:var(--red);background:var(--red-soft)}.note.warn{border-color:var(--amber);background:var(--amber-soft)}
.q-btn{text-transform:none!important;font-weight:550!important;border-radius:var(--radius)!important;min-height:34px}
.q-field--outlined .q-field__control{border-radius:var(--radius)!important}
.q-dialog .card{width:min(560px,94vw);max-height:88vh;overflow:auto;border:0;padding:20px 22px;gap:10px;display:flex;
flex-direction:column}
.muted{color:var(--muted)}.row{display:flex;gap:10px;align-items:center;flex-wrap:wrap}.grow{flex:1}
.signin{min-height:100vh;display:grid;place-items:center;background:linear-gradient(160deg,#10202b,#17394a 60%,#0f766e)}
.signin .card{width:min(400px,92vw);padding:28px 28px 24px;border:0;box-shadow:0 18px 50px rgba(0,0,0,.28);display:flex;
flex-direction:column;gap:12px}
.only-phone{display:none!important}
@media(max-width:820px){.frame{grid-template-columns:minmax(0,1fr)}.nav{display:none;position:fixed;z-index:20;width:240px}
.nav.open{display:flex}.navcell{position:absolute}.twocol{grid-template-columns:minmax(0,1fr)!important}.only-phone{display:inline-flex!important}.main{padding:12px 12px 30px}.top{padding:8px 12px;gap:8px}
.two{grid-template-columns:minmax(0,1fr)}.who{display:none}.cards{grid-template-columns:repeat(2,minmax(0,1fr))}
.stat .v{font-size:18px}}
@media(prefers-reduced-motion:reduce){*{transition:none!important;animation:none!important}}
""".replace("FONT", FONT)

/**
 * The looks of everything that is rendered. A constructed sheet: a strict content security policy forbids style elements and attributes.
 *
 * A page changes colours with variables on any element above, like `:root { --onramp-accent: #0a7 }`. Without them colours follow the
 * page's `color-scheme`.
 */
export const CSS = `
:host{all:initial!important;display:contents!important;color-scheme:inherit!important}
*{box-sizing:border-box;margin:0;padding:0}
.root{--a:var(--onramp-accent,#3448c5);--at:var(--onramp-accent-text,#fff);--s:var(--onramp-surface,#fff);--t:var(--onramp-text,#1b1e28);
--m:var(--onramp-muted,#5a6072);--l:var(--onramp-line,#d9dce6);--r:var(--onramp-radius,12px);
font:400 medium/1.5 var(--onramp-font,system-ui,sans-serif);color:var(--t);text-align:start}
@supports(color:light-dark(red,red)){.root{--a:var(--onramp-accent,light-dark(#3448c5,#a9b8ff));
--at:var(--onramp-accent-text,light-dark(#fff,#12163a));--s:var(--onramp-surface,light-dark(#fff,#1d2027));
--t:var(--onramp-text,light-dark(#1b1e28,#eceef5));--m:var(--onramp-muted,light-dark(#5a6072,#a6adc0));
--l:var(--onramp-line,light-dark(#d9dce6,#3b404d))}}
.card{position:fixed;z-index:var(--onramp-z,2147483000);width:min(340px,calc(100vw - 24px));max-height:calc(100vh - 24px);overflow:auto;
background:var(--s);color:var(--t);border:1px solid var(--l);border-radius:var(--r);padding:16px 18px 18px;
box-shadow:0 8px 32px #0f142833,0 1px 3px #0f142826;overflow-wrap:anywhere}
.tooltip{left:0;top:0}
.arrow{position:fixed;z-index:var(--onramp-z,2147483000);width:12px;height:12px;rotate:45deg;background:var(--s);border:1px solid var(--l);
border-right:0;border-bottom:0;pointer-events:none}
.arrow.down{rotate:225deg}
.corner,.side{right:16px;bottom:16px}
.side{top:50%;bottom:auto;right:0;translate:0 -50%;border-start-end-radius:0;border-end-end-radius:0;border-inline-start:4px solid var(--a)}
dialog.card{inset:0;margin:auto;width:min(440px,calc(100vw - 24px));height:fit-content;padding:26px 28px}
dialog::backdrop{background:#0a0d1a8c}
h2{width:fit-content;font-size:.85em;font-weight:600;color:var(--m);margin-inline-end:36px;line-height:1.4;border-radius:4px}
dialog h2{font-size:1.2em;color:var(--t)}
h2::first-letter,li span::first-letter,li a::first-letter{text-transform:uppercase}
p{margin-top:6px}
.row{display:flex;flex-wrap:wrap;gap:8px;margin-top:14px}
button,a{font:inherit;color:inherit;cursor:pointer}
.row>*{border-radius:calc(var(--r)*.6);padding:8px 16px;min-height:40px;font-weight:600;text-decoration:none;border:1px solid var(--l);background:none}
.row>a{background:var(--a);border-color:var(--a);color:var(--at)}
.x{position:absolute;inset-block-start:8px;inset-inline-end:8px;width:36px;height:36px;border:0;border-radius:50%;background:none;color:var(--m);
font-size:20px;line-height:1}
.row>:hover,.x:hover{text-decoration:underline}
:focus-visible{outline:3px solid var(--a);outline-offset:2px}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.launch{position:fixed;z-index:calc(var(--onramp-z,2147483000) - 1);left:16px;bottom:16px;min-height:44px;padding:8px 18px;border:0;
border-radius:22px;background:var(--a);color:var(--at);font-weight:600;box-shadow:0 4px 16px #0f142840}
.list.card{left:16px;bottom:72px;z-index:calc(var(--onramp-z,2147483000) - 1)}
.list h2{font-size:1em;color:var(--t)}
.list p{color:var(--m);font-size:.9em;margin-top:2px}
.bar{height:6px;margin-top:8px;border-radius:3px;background:var(--l);overflow:hidden}
.bar i{display:block;height:100%;background:var(--a);transform-origin:left;scale:0 1}
ol{list-style:none;margin-top:10px}
li{display:flex;gap:10px;align-items:flex-start;padding:6px 0}
li b{flex:none;width:20px;height:20px;margin-top:1px;border:2px solid var(--l);border-radius:50%;font-size:12px;line-height:16px;text-align:center}
.done b{background:var(--a);border-color:var(--a);color:var(--at)}
.done b::before{content:"✓"}
.current b{border:6px solid var(--a)}
.current{font-weight:600}
.done{color:var(--m)}
li a{text-underline-offset:3px}
[hidden]{display:none!important}
@media(max-width:480px){.side,.corner{left:12px;right:12px;bottom:12px;top:auto;translate:none;width:auto;border-radius:var(--r)}}
@media(prefers-reduced-motion:no-preference){.card{animation:in .18s ease-out}.bar i{transition:scale .4s}
@keyframes in{from{opacity:0;transform:translateY(6px)}}}
@media(forced-colors:active){.card,.launch,.row>*{border:1px solid}.arrow{display:none}}
`;

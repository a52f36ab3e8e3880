/* MaimConfig's chat widget: one script, no framework.

   <script src="https://chat.example.com/widget/widget.js" data-agent-id="agent_…" async></script>

   data-agent-id   whom visitors talk to; its tenant must allow guests (tenant_config.guest_chat)
   data-server     where the public plane is; where this script came from, unless set
   data-realtime   the gateway's WebSocket address; what the server's /info says, unless set
   data-title      of the window
   data-lang       zh or en; the browser's language, unless set
   data-open       present: the window is open from the start

   A message is kept in the browser until the server has stored it, and sent again after a lost
   connection under the same client_id; after_seq asks for what was missed meanwhile. So nothing is
   lost, doubled or out of order, whatever the network does. */
(() => {
  "use strict";

  const RETRY_FIRST_MS = 500;
  const RETRY_MOST_MS = 30000;
  const TYPING_EVERY_MS = 3000;
  const TYPING_LASTS_MS = 6000;
  const LONGEST_MESSAGE = 4000; // characters (docs/realtime.md, limits)
  const AGAIN_MS = 5000;
  const HIGHEST_FIELD = 130; // pixels
  // Refusals that pass: too many, or the server is away for a moment.
  const PASSING = new Set(["RATE_LIMITED", "RATE_001", "SYS_001", "SYS_002", "SYS_005"]);
  // Refusals of a session that is over.
  const OVER = new Set(["SESSION_NOT_FOUND", "NOT_AUTHENTICATED", "FORBIDDEN", "CHAT_005"]);

  const TEXTS = {
    zh: {
      title: "在线客服", placeholder: "输入消息…", send: "发送", person: "转人工", open: "打开聊天",
      close: "关闭聊天", offline: "连接已断开，正在重连…", waiting: "正在为您接入人工客服…",
      human: "人工客服为您服务", ai: "智能助手为您服务", ended: "会话已结束，发送消息可开始新的会话",
      typing: "对方正在输入…", refused: "暂时无法开始聊天", failed: "未能发送", staff: "客服", bot: "助手",
    },
    en: {
      title: "Chat with us", placeholder: "Type a message…", send: "Send", person: "Ask for a person",
      open: "Open the chat", close: "Close the chat", offline: "Disconnected, reconnecting…",
      waiting: "Finding a person for you…", human: "You are talking with a person",
      ai: "You are talking with an assistant", ended: "This chat has ended; a message begins another",
      typing: "Typing…", refused: "The chat can't be opened now", failed: "Not sent",
      staff: "Staff", bot: "Assistant",
    },
  };

  const STYLE = `
    :host { all: initial; font: 15px/1.45 system-ui, "PingFang SC", "Microsoft YaHei", sans-serif; }
    * { box-sizing: border-box; }
    button { font: inherit; cursor: pointer; border: 0; }
    button:focus-visible, textarea:focus-visible { outline: 2px solid #1f6feb; outline-offset: 2px; }
    .bubble { position: fixed; right: 20px; bottom: 20px; width: 56px; height: 56px; z-index: 2147483000;
      border-radius: 50%; background: #1f5fbf; color: #fff; display: grid; place-items: center;
      box-shadow: 0 4px 16px rgba(0,0,0,.25); }
    .window { position: fixed; right: 20px; bottom: 88px; width: 360px; height: 520px; z-index: 2147483000;
      max-width: calc(100vw - 24px); max-height: calc(100vh - 104px); display: flex;
      flex-direction: column; overflow: hidden; background: #fff; color: #1c2128;
      border-radius: 12px; box-shadow: 0 8px 32px rgba(0,0,0,.25); }
    .window[hidden] { display: none; }
    header { display: flex; align-items: center; gap: 8px; padding: 10px 14px; background: #1f5fbf; color: #fff; }
    header strong { flex: 1; }
    header button { background: transparent; color: #fff; padding: 4px 8px; border-radius: 6px; }
    header button.person { border: 1px solid rgba(255,255,255,.7); }
    .status { padding: 4px 14px; font-size: 13px; color: #4b5563; background: #f1f4f8; min-height: 27px; }
    .log { flex: 1; overflow-y: auto; padding: 12px; display: flex; flex-direction: column; gap: 8px; }
    .message { max-width: 82%; padding: 7px 11px; border-radius: 12px; white-space: pre-wrap;
      overflow-wrap: anywhere; background: #eef1f5; align-self: flex-start; }
    .message.contact { background: #1f5fbf; color: #fff; align-self: flex-end; }
    .message.system { align-self: center; background: transparent; color: #4b5563; font-size: 13px; }
    .message.unsent { opacity: .65; }
    .message.failed { background: #b3261e; }
    .who { display: block; font-size: 12px; color: #4b5563; }
    form { display: flex; gap: 8px; padding: 10px; border-top: 1px solid #dde2e8; }
    textarea { flex: 1; resize: none; height: 42px; padding: 9px; font: inherit; border-radius: 8px;
      border: 1px solid #c5ccd5; }
    form button { background: #1f5fbf; color: #fff; border-radius: 8px; padding: 0 16px; }
    @media (max-width: 480px) {
      .window { inset: 0; width: 100%; height: 100vh; height: 100dvh; max-width: none;
        max-height: none; border-radius: 0; }
      .window:not([hidden]) + .bubble { display: none; }
      form { padding-bottom: max(10px, env(safe-area-inset-bottom)); }
      textarea { font-size: 16px; } /* below that a phone zooms in on the field */
    }
  `;

  const ICON = `<svg viewBox="0 0 24 24" width="26" height="26" fill="currentColor" aria-hidden="true">
    <path d="M4 3h16a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2h-8l-5 4v-4H4a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2z"/></svg>`;

  const script = document.currentScript;
  const options = script.dataset;
  const server = (options.server || new URL(script.src).origin).replace(/\/$/, "");
  const language = (options.lang || navigator.language || "zh").toLowerCase().startsWith("en") ? "en" : "zh";
  const texts = TEXTS[language];

  const newId = () =>
    Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  /* What outlives a page: who the visitor is, the session, and messages not yet stored. */
  class Memory {
    constructor(agentId) {
      this.key = `maimconfig:${server}:${agentId}`;
      let kept = null;
      try {
        kept = JSON.parse(localStorage.getItem(this.key));
      } catch {
        // Storage may be forbidden or hold something else: then this page is all there is.
      }
      this.userId = kept?.userId || `visitor-${newId()}`;
      this.session = kept?.session || null;
      this.unsent = kept?.unsent || [];
    }

    save() {
      const { userId, session, unsent } = this;
      try {
        localStorage.setItem(this.key, JSON.stringify({ userId, session, unsent }));
      } catch {
        // As above.
      }
    }
  }

  /* One connection after the other, until it is told to stop. */
  class Link {
    constructor(address, handlers) {
      this.address = address;
      this.handlers = handlers;
      this.failures = 0;
      this.wanted = true;
      this.timer = null;
      this.online = () => this.retryNow();
      addEventListener("online", this.online);
      this.connect();
    }

    connect() {
      this.timer = null;
      const socket = new WebSocket(this.address);
      this.socket = socket;
      socket.onopen = () => this.handlers.opened();
      socket.onmessage = (event) => this.wanted && this.handlers.frame(JSON.parse(event.data));
      socket.onclose = () => {
        if (!this.wanted) return;
        this.handlers.closed();
        this.retryLater();
      };
    }

    retryLater() {
      const most = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** this.failures);
      this.failures += 1;
      // From half to the whole of it, so that a restarted gateway doesn't meet all at once.
      this.timer = setTimeout(() => this.connect(), most / 2 + (Math.random() * most) / 2);
    }

    retryNow() {
      if (this.timer === null) return;
      clearTimeout(this.timer);
      this.connect();
    }

    works() {
      this.failures = 0;
    }

    /* The id comes back with an answer that refuses. */
    send(type, data, id) {
      if (this.socket.readyState !== WebSocket.OPEN) return;
      this.socket.send(JSON.stringify({ type, data, id, timestamp: new Date().toISOString() }));
    }

    stop() {
      this.wanted = false;
      removeEventListener("online", this.online);
      clearTimeout(this.timer);
      this.socket.close();
    }
  }

  const element = (name, attributes = {}, ...children) => {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...children);
    return made;
  };

  /* What the visitor sees. What anybody wrote goes in as text, never as HTML. */
  class View {
    constructor(actions) {
      this.shown = new Map();
      this.host = element("div", { id: "maimconfig-widget" });
      const root = this.host.attachShadow({ mode: "open" });
      this.bubble = element("button", { className: "bubble", type: "button", innerHTML: ICON, title: texts.open });
      this.bubble.setAttribute("aria-label", texts.open);
      this.person = element("button", { className: "person", type: "button", textContent: texts.person });
      const close = element("button", { type: "button", textContent: "✕", title: texts.close });
      close.setAttribute("aria-label", texts.close);
      this.status = element("div", { className: "status" });
      this.status.setAttribute("role", "status");
      this.log = element("div", { className: "log" });
      this.log.setAttribute("role", "log");
      this.log.setAttribute("aria-live", "polite");
      this.input = element("textarea", { placeholder: texts.placeholder, maxLength: LONGEST_MESSAGE });
      this.input.setAttribute("aria-label", texts.placeholder);
      this.form = element("form", {}, this.input, element("button", { type: "submit", textContent: texts.send }));
      const title = element("strong", { textContent: options.title || texts.title });
      this.window = element("section", { className: "window", hidden: true },
        element("header", {}, title, this.person, close), this.status, this.log, this.form);
      this.window.setAttribute("role", "dialog");
      this.window.setAttribute("aria-label", title.textContent);
      root.append(element("style", { textContent: STYLE }), this.window, this.bubble);
      document.body.append(this.host);
      this.listen(actions, close);
    }

    listen(actions, close) {
      this.bubble.onclick = () => this.toggle(actions);
      close.onclick = () => this.toggle(actions);
      this.window.onkeydown = (event) => {
        if (event.key === "Escape" && !event.isComposing) this.toggle(actions);
      };
      this.person.onclick = () => actions.askForPerson();
      this.input.oninput = () => {
        this.fit();
        actions.typing();
      };
      this.input.onkeydown = (event) => {
        // A key that picks a word of an input method is not a wish to send.
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
          event.preventDefault();
          this.form.requestSubmit();
        }
      };
      this.form.onsubmit = (event) => {
        event.preventDefault();
        const content = this.input.value.trim();
        if (!content) return;
        this.input.value = "";
        this.fit();
        actions.say(content);
      };
    }

    toggle(actions) {
      this.window.hidden = !this.window.hidden;
      (this.window.hidden ? this.bubble : this.input).focus();
      if (!this.window.hidden) actions.opened();
    }

    /* As high as what is typed, to a limit. */
    fit() {
      const field = this.input;
      field.style.height = "";
      const borders = field.offsetHeight - field.clientHeight;
      const wanted = Math.min(field.scrollHeight + borders, HIGHEST_FIELD);
      if (wanted > field.offsetHeight) field.style.height = `${wanted}px`;
    }

    get isOpen() {
      return !this.window.hidden;
    }

    /* Shows a text under a key; what is shown under it already is changed, and moved to the end. */
    show(key, sender, content) {
      const known = this.shown.get(key);
      const made = known || element("div");
      made.className = `message ${sender}`;
      const who = { agent: texts.staff, ai: texts.bot }[sender];
      made.replaceChildren(...(who ? [element("span", { className: "who", textContent: who })] : []), content);
      this.shown.set(key, made);
      this.log.append(made);
      this.log.scrollTop = this.log.scrollHeight;
      return made;
    }

    remove(key) {
      this.shown.get(key)?.remove();
      this.shown.delete(key);
    }

    clear() {
      this.shown.clear();
      this.log.replaceChildren();
    }
  }

  /* The conversation: what the server says, what the visitor wants, and what is still to be sent. */
  class Chat {
    constructor(agentId) {
      this.agentId = agentId;
      this.memory = new Memory(agentId);
      this.seq = 0;
      this.joined = false;
      this.parts = new Map();
      this.typedAt = 0;
      this.mode = texts.ai;
      this.view = new View(this);
      if ("open" in options) this.view.toggle(this);
    }

    /* The window was opened. */
    async opened() {
      if (this.link || this.starting) return;
      this.starting = true;
      try {
        if (!this.memory.session) await this.beginSession();
        this.link = new Link(await this.gateway(), {
          opened: () => this.link.send("auth", { token: this.memory.session.token }, "auth"),
          frame: (frame) => this.receive(frame),
          closed: () => this.lost(),
        });
      } catch (error) {
        this.tell(`${texts.refused}${error.message ? `: ${error.message}` : ""}`);
      } finally {
        this.starting = false;
      }
    }

    async beginSession() {
      const answer = await fetch(`${server}/api/v1/chat/sessions`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "Accept-Language": language },
        body: JSON.stringify({
          user_id: this.memory.userId, agent_id: this.agentId, agent_type: "ai",
          metadata: { page: location.href.slice(0, 500) },
        }),
      });
      const body = await answer.json();
      if (!answer.ok) throw new Error(body.message);
      this.memory.session = { id: body.session_id, token: body.token };
      this.memory.save();
    }

    async gateway() {
      if (options.realtime) return options.realtime;
      const info = await (await fetch(`${server}/info`)).json();
      return info.realtime || `${server.replace(/^http/, "ws")}/ws`;
    }

    receive({ type, data, id }) {
      const handler = {
        auth: () => this.authenticated(data),
        session_joined: () => this.sessionJoined(data),
        message: () => this.message(data),
        message_sent: () => this.stored(data),
        ai_stream: () => this.part(data),
        status_update: () => this.changed(data),
        typing: () => this.someoneTypes(data),
        error: () => this.refused(data, id),
      }[type];
      handler?.();
    }

    authenticated() {
      this.link.send("join_session", { session_id: this.memory.session.id, after_seq: this.seq }, "join");
    }

    sessionJoined(data) {
      this.joined = true;
      this.link.works();
      this.changed(data);
      if (this.ended && this.memory.unsent.length) this.restart();
      else for (const message of this.memory.unsent) this.transmit(message);
    }

    say(content) {
      const message = { client_id: newId(), content };
      this.memory.unsent.push(message);
      this.memory.save();
      this.view.show(message.client_id, "contact", content).classList.add("unsent");
      if (this.ended) this.restart();
      else if (this.joined) this.transmit(message);
      else this.opened();
    }

    transmit(message) {
      this.view.show(message.client_id, "contact", message.content).classList.add("unsent");
      const data = { session_id: this.memory.session.id, message_type: "text", ...message };
      this.link.send("message", data, message.client_id);
    }

    stored({ client_id: clientId }) {
      this.forget(clientId);
      this.view.shown.get(clientId)?.classList.remove("unsent");
    }

    forget(clientId) {
      this.memory.unsent = this.memory.unsent.filter((message) => message.client_id !== clientId);
      this.memory.save();
    }

    message(message) {
      if (message.seq <= this.seq) return;
      this.seq = message.seq;
      this.parts.delete(message.id);
      if (message.client_id) this.stored(message);
      if (message.sender_type !== "contact") this.someoneTypes({ is_typing: false });
      // Under the name that its draft had: a message of one's own, or the parts of an answer.
      const key = this.view.shown.has(message.client_id) ? message.client_id : message.id;
      const content = (message.sender_type === "system" && message.metadata?.[language]) || message.content;
      this.view.show(key, message.sender_type, content);
      if (this.view.isOpen) this.link.send("read", { session_id: this.memory.session.id, seq: message.seq });
    }

    part({ message_id: id, delta, is_complete: complete }) {
      if (complete) {
        // The stored message comes next; without one the answer was thrown away.
        setTimeout(() => this.parts.delete(id) && this.view.remove(id), 3000);
        return;
      }
      const text = (this.parts.get(id) || "") + delta;
      this.parts.set(id, text);
      this.view.show(id, "ai", text);
    }

    changed({ status, session_status: sessionStatus, agent_type: agentType, assignee }) {
      this.ended = [status, sessionStatus].includes("closed") || sessionStatus === "expired";
      if (agentType === "human") this.mode = assignee ? texts.human : texts.waiting;
      else if (agentType) this.mode = texts.ai;
      this.view.person.hidden = agentType === "human";
      this.tell(this.ended ? texts.ended : this.mode);
    }

    someoneTypes({ is_typing: typing }) {
      clearTimeout(this.typingEnds);
      this.tell(typing ? texts.typing : this.mode);
      if (typing) this.typingEnds = setTimeout(() => this.tell(this.mode), TYPING_LASTS_MS);
    }

    refused({ code, message }, id) {
      const mine = this.memory.unsent.some((unsent) => unsent.client_id === id);
      if (PASSING.has(code)) {
        setTimeout(() => (mine ? this.again(id) : id === "join" && this.authenticated()), AGAIN_MS);
      } else if (OVER.has(code) || id === "auth" || id === "join") {
        this.ended = true;
        this.joined = false;
        if (this.memory.unsent.length) this.restart();
        else this.tell(texts.ended);
      } else if (mine) {
        this.forget(id);
        const shown = this.view.shown.get(id);
        shown.classList.add("failed");
        shown.title = `${texts.failed}: ${message}`;
      }
    }

    again(clientId) {
      const message = this.memory.unsent.find((one) => one.client_id === clientId);
      if (message && this.joined) this.transmit(message);
    }

    /* A new session; what could not be sent in the old one is sent there. */
    async restart() {
      if (this.restarting) return;
      this.restarting = true;
      this.link?.stop();
      this.link = null;
      this.memory.session = null;
      Object.assign(this, { ended: false, joined: false, seq: 0, mode: texts.ai });
      this.view.clear();
      for (const message of this.memory.unsent) this.view.show(message.client_id, "contact", message.content);
      await this.opened();
      this.restarting = false;
    }

    askForPerson() {
      this.link?.send("system", { action: "request_handover", session_id: this.memory.session.id });
    }

    typing() {
      const now = Date.now();
      if (!this.joined || now - this.typedAt < TYPING_EVERY_MS) return;
      this.typedAt = now;
      this.link.send("typing", { session_id: this.memory.session.id, is_typing: true });
    }

    lost() {
      this.joined = false;
      this.tell(texts.offline);
      // An answer that was coming comes as a whole after the reconnection.
      for (const id of this.parts.keys()) this.view.remove(id);
      this.parts.clear();
    }

    tell(text) {
      this.view.status.textContent = text;
    }
  }

  const start = () => new Chat(options.agentId);
  if (document.body) start();
  else addEventListener("DOMContentLoaded", start);
})();

/** Signing in: what is said without a session, and the question before a link is used up. */

import { html, type Markup } from './html.ts';

export function signInPage(): Markup {
  return html`<h1>Sign in</h1>
<p class="soft">With your operator’s key, on the machine that has it:</p>
<pre class="command"><code>undisclosed console --as NAME</code></pre>
<p class="soft">It prints a link that is good once, for ten minutes.</p>`;
}

/** A link preview or a mail scanner only looks: the link is used up by the button. */
export function confirmSignIn(operator: string, token: string): Markup {
  return html`<h1>Sign in as <b>${operator}</b>?</h1>
<p class="soft">For at most 12 hours, and until 60 minutes after the last use. It is an entry of the ledger.</p>
<form method="post" action="/sign-in"><input type="hidden" name="token" value="${token}"><button class="btn btn-primary wide" autofocus>Sign in as ${operator}</button></form>`;
}

export function signedOutPage(): Markup {
  return html`<h1>Signed out</h1>
<p class="soft">To come back, get another link:</p>
<pre class="command"><code>undisclosed console --as NAME</code></pre>`;
}

/** Signing in and out. A GET of a link looks at it; the POST behind its button uses it up. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Fault } from '../../base/errors.ts';
import { type ConsoleParts, type Fields, send, sessionOf, setCookie } from './answers.ts';
import { barePage } from './layout.ts';
import { sameSecret } from './session.ts';
import { confirmSignIn, signedOutPage } from './sign-in.ts';

const COOKIE_SECONDS = 12 * 3600;

export function signInRoutes(server: FastifyInstance, parts: ConsoleParts): void {
  const { sessions, assets, secure, wrong } = parts;
  const guarded = async <T>(request: FastifyRequest, work: () => Promise<T>): Promise<T> => {
    wrong.check(request.ip, Date.now());
    try {
      return await work();
    } catch (error) {
      if (error instanceof Fault && error.code === 'console.bad-link')
        wrong.count(request.ip, Date.now());
      throw error;
    }
  };
  server.get('/sign-in/:token', async (request, reply) => {
    const { token } = request.params as { token: string };
    const operator = await guarded(request, () => sessions.lookAt(token));
    return send(reply, 200, barePage(assets, 'Sign in', confirmSignIn(operator, token)));
  });
  server.post('/sign-in', async (request, reply) => {
    const { token = '' } = (request.body ?? {}) as Fields;
    const session = await guarded(request, () => sessions.signIn(token));
    setCookie(reply, secure, session.secret, COOKIE_SECONDS);
    return reply.redirect('/', 303);
  });
  server.post('/sign-out', async (request, reply) => {
    const session = await sessionOf(parts, request);
    const { csrf = '' } = (request.body ?? {}) as Fields;
    if (!sameSecret(csrf, session.csrf))
      throw new Fault('console.foreign', 'this does not come from a page of this session');
    await sessions.signOut(session.secret);
    setCookie(reply, secure, '', 0);
    return reply.redirect('/signed-out', 303);
  });
  server.get('/signed-out', (_request, reply) =>
    send(reply, 200, barePage(assets, 'Signed out', signedOutPage())),
  );
}

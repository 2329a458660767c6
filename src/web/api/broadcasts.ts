/** Broadcasts, halts and the proof over the API. */

import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { App } from '../../app.ts';
import { Fault } from '../../base/errors.ts';
import { accountOf } from '../../broadcast/account.ts';
import {
  type ApprovalEnvelope,
  approvalDocument,
  approveBroadcast,
} from '../../broadcast/approval.ts';
import { type BroadcastSettings, loadBroadcast, loadNotice } from '../../broadcast/broadcast.ts';
import { cancelBroadcast } from '../../broadcast/cancel.ts';
import { createBroadcast } from '../../broadcast/create.ts';
import { type HaltScope, halt, haltsInForce, resume } from '../../broadcast/halt.ts';
import { withdraw } from '../../broadcast/leave-out.ts';
import { letOn, resendUncertain } from '../../broadcast/let-on.ts';
import { firstDifference, type NoticeFiles } from '../../broadcast/notice.ts';
import { STATES } from '../../broadcast/outcome.ts';
import { prepareBroadcast } from '../../broadcast/prepare.ts';
import { proofBundle } from '../../broadcast/prove.ts';
import type { Release } from '../../broadcast/release.ts';
import type { ReleaseProgress } from '../../broadcast/release-progress.ts';
import { listBroadcasts } from '../../store/broadcasts.ts';
import { outcomesOf } from '../../store/outcomes.ts';
import { streamAnswer } from '../stream.ts';

interface CreateBody {
  readonly name: string;
  readonly files: NoticeFiles;
  readonly folder: string;
  readonly settings: BroadcastSettings;
}

interface ReleaseBody {
  /** The notice folder as it stands now; null where it is no longer there. */
  readonly files: NoticeFiles | null;
  /** Why a held broadcast may go on. */
  readonly reason?: string;
  /** Sends again to those whose content may have been accepted. */
  readonly resendUncertain?: boolean;
}

const idOf = (request: { readonly params: unknown }): string =>
  (request.params as { readonly id: string }).id;

async function status(app: App, id: string): Promise<object> {
  const broadcast = await loadBroadcast(app.db, id);
  const release = app.releases.find(id);
  return {
    broadcast: id,
    name: broadcast.name,
    state: broadcast.state,
    standsBecause: broadcast.standsBecause,
    createdBy: broadcast.createdBy,
    preparedBy: broadcast.preparedBy,
    plan: broadcast.plan,
    notice: { digest: broadcast.noticeDigest.toString('base64'), folder: broadcast.noticeFolder },
    manifestRoot: broadcast.manifestRoot?.toString('base64') ?? null,
    halted: app.brake.stands(id),
    release: release?.progress() ?? null,
    account: await accountOf(app.db, id),
  };
}

/** What was approved is the stored notice; a folder that has changed since is said before anything is sent. */
async function checkFolder(app: App, id: string, files: NoticeFiles | null): Promise<void> {
  if (files === null) return;
  const broadcast = await loadBroadcast(app.db, id);
  const { files: approved } = await loadNotice(app.db, broadcast);
  const place = firstDifference(approved, files);
  if (place === null) return;
  throw new Fault('broadcast.notice-changed', 'the notice is not the one that was approved', {
    where: `${broadcast.noticeFolder}/${place}`,
    remedy: 'put the file back, or make a new broadcast from it and have that approved',
  });
}

function sendingNote(progress: ReleaseProgress): string {
  const rate = `${Math.round(progress.perSecond)}/s`;
  return progress.because ?? `ring ${progress.ring}, ${rate}`;
}

const PROGRESS_MS = 100;

/** Reports until the release has ended; the release itself does not depend on anybody listening. */
async function follow(
  release: Release,
  report: (step: string, progress: ReleaseProgress) => void,
): Promise<unknown> {
  const tick = setInterval(() => {
    const progress = release.progress();
    if (progress.phase !== 'starting')
      report(progress.phase === 'signing' ? 'sign' : 'release', progress);
  }, PROGRESS_MS);
  try {
    const end = await release.done;
    report('release', release.progress());
    return { ...end, progress: release.progress() };
  } finally {
    clearInterval(tick);
  }
}

function releaseRoute(server: FastifyInstance, app: App): void {
  server.post('/v1/broadcasts/:id/release', async (request, reply) => {
    const id = idOf(request);
    const body = request.body as ReleaseBody;
    return streamAnswer(reply, async (emit) => {
      await checkFolder(app, id, body.files);
      const { state } = await loadBroadcast(app.db, id);
      if (state === 'held')
        await letOn(app.db, id, request.operator, body.reason ?? '', body.resendUncertain === true);
      else if (body.resendUncertain === true) await resendUncertain(app.db, id, request.operator);
      const release = await app.releases.start(id, request.operator);
      const ended = await follow(release, (step, progress) =>
        emit({
          event: 'progress',
          step,
          done: progress.done,
          of: progress.of,
          note: sendingNote(progress),
        }),
      );
      await app.sequencer.flush();
      return ended;
    });
  });
}

function approvalRoutes(server: FastifyInstance, app: App): void {
  server.get('/v1/broadcasts/:id/approval', (request) =>
    approvalDocument(app.db, app.keyring, idOf(request)),
  );
  server.post('/v1/broadcasts/:id/approval', async (request) => {
    const id = idOf(request);
    const envelope = request.body as ApprovalEnvelope;
    if (envelope.operator !== request.operator)
      throw new Fault('approval.bad-signature', 'the approval is not by who sent it');
    const document = await approveBroadcast(app.db, app.keyring, id, envelope, new Date());
    return {
      approved: id,
      by: envelope.operator,
      document,
      checkpoint: await app.sequencer.flush(),
    };
  });
}

/** Leaving people out after the freeze, one by one or all that are left. */
function leaveOutRoutes(server: FastifyInstance, app: App): void {
  server.post('/v1/broadcasts/:id/withdraw', (request) => {
    const { addresses, reason } = request.body as { addresses: string[]; reason: string };
    const { operator } = request;
    return withdraw(app.db, app.keyring, idOf(request), { addresses, reason, operator });
  });
  server.post('/v1/broadcasts/:id/cancel', async (request) => {
    const { reason } = request.body as { reason: string };
    const id = idOf(request);
    const report = await cancelBroadcast(app.db, app.keyring, id, {
      operator: request.operator,
      reason,
      releasing: app.releases.find(id) !== null,
    });
    await app.sequencer.flush();
    return report;
  });
}

function haltRoutes(server: FastifyInstance, app: App): void {
  server.post('/v1/halt', async (request) => {
    const body = request.body as { scope: HaltScope; broadcast?: string; reason?: string };
    const report = await halt(app.db, app.config.dataDir, app.sender, app.brake, {
      scope: body.scope,
      broadcast: body.broadcast ?? null,
      operator: request.operator,
      reason: body.reason ?? 'not given',
    });
    void app.sequencer.flush().catch(() => {});
    return report;
  });
  server.get('/v1/halts', () => haltsInForce(app.db));
  server.post('/v1/resume', async (request) => {
    const { halt: id } = request.body as { halt: string };
    const report = await resume(app.db, app.brake, id, request.operator);
    await app.sequencer.flush();
    if (report.kind === 'lifted') await app.releases.takeUp();
    return report;
  });
}

function proofRoute(server: FastifyInstance, app: App): void {
  server.get('/v1/proof', async (_request, reply: FastifyReply) => {
    await app.sequencer.flush();
    const lines = proofBundle(app.db, app.keyring, app.config.origin, new Date());
    return reply.type('application/jsonl').send(Readable.from(lines));
  });
}

export function broadcastRoutes(server: FastifyInstance, app: App): void {
  server.get('/v1/broadcasts', async () =>
    (await listBroadcasts(app.db)).map((row) => ({
      broadcast: row.id,
      name: row.name,
      state: row.state,
      count: row.audience_count,
      created: row.created_at,
      by: row.created_by,
    })),
  );
  server.get('/v1/broadcasts/:id', (request) => status(app, idOf(request)));
  server.get('/v1/broadcasts/:id/recipients/:position', async (request) => {
    const { id, position } = request.params as { id: string; position: string };
    const rows = await outcomesOf(app.db, id, Number(position));
    return rows.map((row) => ({ ...row, state: STATES[row.state] }));
  });
  server.post('/v1/broadcasts', (request, reply) => {
    const body = request.body as CreateBody;
    return streamAnswer(reply, (emit) =>
      createBroadcast(
        app.db,
        app.keyring,
        {
          ...body,
          operator: request.operator,
          progress: (done) => emit({ event: 'progress', step: 'freeze', done, of: 0 }),
        },
        new Date(),
      ),
    );
  });
  server.post('/v1/broadcasts/:id/prepare', (request, reply) =>
    streamAnswer(reply, async (emit) => {
      const report = await prepareBroadcast(app.db, app.keyring, {
        broadcast: idOf(request),
        operator: request.operator,
        stagesModule: app.stagesModule,
        progress: (done, of) => emit({ event: 'progress', step: 'prepare', done, of }),
        cancelled: () => app.brake.stands(idOf(request)),
      });
      await app.sequencer.flush();
      return report;
    }),
  );
  approvalRoutes(server, app);
  releaseRoute(server, app);
  leaveOutRoutes(server, app);
  haltRoutes(server, app);
  proofRoute(server, app);
}

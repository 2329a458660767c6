/** A pool of worker threads that run one module; tasks are answered in any order. */

import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Fault } from '../base/errors.ts';

interface Waiting {
  readonly task: unknown;
  readonly transfer: readonly ArrayBuffer[];
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

interface Answer {
  readonly value?: unknown;
  readonly fault?: { code: string; message: string; where?: string; remedy?: string };
}

/** A thread holds one block of 1,024 messages at a time: a heap beyond this is a leak. */
const YOUNG_GENERATION_MB = 8;
const OLD_GENERATION_MB = 96;

export class WorkerPool<Task, Result> {
  readonly #workers: Worker[] = [];
  readonly #idle: Worker[] = [];
  readonly #queue: Waiting[] = [];
  readonly #running = new Map<Worker, Waiting>();
  #closed = false;

  /** @param module URL of the worker's module, without its extension: sources and build differ in it. */
  constructor(module: URL, workerData: unknown, size: number = availableParallelism()) {
    const file = new URL(module.href + extname(import.meta.url));
    for (let i = 0; i < size; i++) {
      const worker = new Worker(file, {
        workerData,
        resourceLimits: {
          maxYoungGenerationSizeMb: YOUNG_GENERATION_MB,
          maxOldGenerationSizeMb: OLD_GENERATION_MB,
        },
      });
      worker.on('message', (answer: Answer) => this.#answered(worker, answer));
      worker.on('error', (error) => this.#failed(worker, error));
      // A module that waits for ever ends its thread without an error.
      worker.on('exit', (status) => {
        if (!this.#closed) this.#failed(worker, new Error(`the thread ended with ${status}`));
      });
      this.#workers.push(worker);
      this.#idle.push(worker);
    }
  }

  get size(): number {
    return this.#workers.length;
  }

  run(task: Task, transfer: readonly ArrayBuffer[] = []): Promise<Result> {
    if (this.#closed) return Promise.reject(new Fault('worker.closed', 'the pool is closed'));
    return new Promise((resolve, reject) => {
      this.#queue.push({ task, transfer, resolve: resolve as (value: unknown) => void, reject });
      this.#next();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #next(): void {
    while (this.#idle.length > 0 && this.#queue.length > 0) {
      const worker = this.#idle.pop() as Worker;
      const waiting = this.#queue.shift() as Waiting;
      this.#running.set(worker, waiting);
      worker.postMessage(waiting.task, waiting.transfer);
    }
  }

  #answered(worker: Worker, answer: Answer): void {
    const waiting = this.#running.get(worker);
    this.#running.delete(worker);
    this.#idle.push(worker);
    if (answer.fault === undefined) waiting?.resolve(answer.value);
    else waiting?.reject(new Fault(answer.fault.code, answer.fault.message, answer.fault));
    this.#next();
  }

  #failed(worker: Worker, error: unknown): void {
    const fault = new Fault('worker.failed', 'a worker thread failed', { cause: error });
    this.#running.get(worker)?.reject(fault);
    for (const waiting of this.#queue.splice(0)) waiting.reject(fault);
    this.#running.delete(worker);
    this.#closed = true;
  }
}

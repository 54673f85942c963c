/** Tells systemd the agent's readiness and status, and feeds its watchdog. sd_notify(3); without NOTIFY_SOCKET it sends nothing. */

import type { Logger } from "../lib/base/log.ts";
import { escapeControls } from "../lib/base/printable.ts";
import { sendUnixDatagram } from "../lib/kernel/datagram.ts";

/** The messages to the service manager. */
export interface Notifier {
  /** Reports that policy is in force (READY=1). */
  ready(): void;
  /** One line for `systemctl status`. */
  status(text: string): void;
  stopping(): void;
  /** Pings the watchdog, if there is one, for as long as `isAlive` says so. */
  watch(isAlive: () => boolean, signal: AbortSignal): void;
}

const STATUS_LENGTH_MAX = 1000;

/** The notifier of NOTIFY_SOCKET and WATCHDOG_USEC; one that does nothing where they are not set. */
export function createNotifier(
  environment: Readonly<Record<string, string | undefined>>,
  logger: Logger,
): Notifier {
  const path = environment.NOTIFY_SOCKET;
  let isWarned = false;
  function send(text: string): void {
    if (path === undefined || path === "") return;
    try {
      sendUnixDatagram(path, text);
    } catch (error) {
      if (!isWarned) logger.warn("cannot notify systemd", { path, error });
      isWarned = true;
    }
  }
  const watchdogMs = Number(environment.WATCHDOG_USEC ?? 0) / 1000;
  return {
    ready: () => send("READY=1"),
    status: (text) => send(`STATUS=${escapeControls(text).slice(0, STATUS_LENGTH_MAX)}`),
    stopping: () => send("STOPPING=1"),
    watch(isAlive, signal) {
      if (!(watchdogMs > 0)) return;
      const timer = setInterval(() => isAlive() ? send("WATCHDOG=1") : undefined, watchdogMs / 2);
      signal.addEventListener("abort", () => clearInterval(timer), { once: true });
    },
  };
}

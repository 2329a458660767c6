/** What in the configuration lets mail pass that the guard would stop, or stops mail that nobody meant to stop. */

import type { CallerSetting, Config, GateSettings } from '../config.ts';
import type { Remark } from './doctor-postfix.ts';

/**
 * @param declared names of the declared audiences; null where the server was not asked.
 */
export function examineConfig(
  { gates }: Pick<Config, 'gates'>,
  declared: ReadonlySet<string> | null,
): readonly Remark[] {
  const remarks = [
    ...gates.callers.flatMap((caller, i) => callerRemarks(caller, `gates.callers.${i}`)),
    ...sharedKeys(gates.callers),
    ...anonymousRemarks(gates),
    ...templateRemarks(gates),
    ...audienceRemarks(gates.callers, declared),
  ];
  const isFine = remarks.every(({ kind }) => kind !== 'finding');
  const count = gates.callers.length;
  if (isFine)
    remarks.push({ kind: 'fine', check: 'mode', text: `all of ${count} callers are in enforce` });
  return remarks;
}

function callerRemarks({ name, mode }: CallerSetting, at: string): readonly Remark[] {
  if (mode === 'enforce') return [];
  return [
    {
      kind: 'finding',
      check: 'mode',
      text: `${at}.mode is ${mode}: whatever ${name} sends goes on as it came`,
      remedy: 'look at undisclosed guard report, then take the setting out, or say enforce',
    },
  ];
}

/** Of two callers with one key the first is always meant. */
function sharedKeys(callers: readonly CallerSetting[]): readonly Remark[] {
  return callers.flatMap(({ name, keySha256 }, i) => {
    const first = callers.findIndex((caller) => caller.keySha256 === keySha256);
    if (first === i) return [];
    return [
      {
        kind: 'finding' as const,
        check: 'keySha256',
        text: `gates.callers.${i}.keySha256 is that of gates.callers.${first}: ${name} is judged as ${callers[first]?.name}`,
        remedy: 'undisclosed keys issue makes a key for each',
      },
    ];
  });
}

function anonymousRemarks({ smtp, milter }: GateSettings): readonly Remark[] {
  const remarks: Remark[] = [];
  if (smtp !== null && smtp.anonymous !== null)
    remarks.push({
      kind: 'note',
      check: 'anonymous',
      text: `gates.smtp.anonymous is ${smtp.anonymous}: whoever reaches the relay on this machine sends by that policy, without a key`,
      remedy: 'leave it out unless a mail server on this machine hands its mail over',
    });
  if (milter !== null)
    remarks.push({
      kind: 'note',
      check: 'anonymous',
      text: `gates.milter.anonymous is ${milter.anonymous}: the policy of mail whose sender the mail server did not authenticate`,
      remedy: 'bulk is the strictest; person lets people show up to 8 outsiders to each other',
    });
  return remarks;
}

function templateRemarks({ providers }: GateSettings): readonly Remark[] {
  return Object.entries(providers).flatMap(([name, provider]) =>
    provider?.approvedTemplates === 'any'
      ? [
          {
            kind: 'finding' as const,
            check: 'approvedTemplates',
            text: `gates.${name}.approvedTemplates is "any": texts that are stored at the provider leave unseen`,
            remedy: 'name the ids of templates that a person has looked at',
          },
        ]
      : [],
  );
}

function audienceRemarks(
  callers: readonly CallerSetting[],
  declared: ReadonlySet<string> | null,
): readonly Remark[] {
  const named = callers.flatMap(({ name, audience }, i) =>
    audience === null || audience === 'customers' ? [] : [{ name, audience, i }],
  );
  if (named.length === 0) return [];
  if (declared === null)
    return [
      {
        kind: 'note',
        check: 'audience',
        text: 'whether the audiences that callers name are declared was not asked',
        remedy: 'name yourself: --as OPERATOR, with the server running',
      },
    ];
  return named
    .filter(({ audience }) => !declared.has(audience))
    .map(({ name, audience, i }) => ({
      kind: 'finding',
      check: 'audience',
      text: `gates.callers.${i}.audience is ${audience}, which nobody has declared: mail of ${name} is deferred`,
      remedy: `undisclosed guard audience declare ${audience} FILE --as OPERATOR`,
    }));
}

/** Every message of every language is read before anybody is written to: broken ICU and misspelt variables are found here. */

import { IntlMessageFormat } from 'intl-messageformat';
import { Fault } from '../base/errors.ts';
import { lineOf, type Notice, type NoticeFiles } from './notice.ts';

type Element = ReturnType<IntlMessageFormat['getAst']>[number];

/** The variables of a message: `{name}`, `{count, plural, …}` and what stands inside its choices. */
function variablesOf(elements: readonly Element[], into: Set<string>): Set<string> {
  for (const element of elements) {
    // Literal text and the # of a plural name no variable.
    if (element.type !== 0 && element.type !== 7) into.add(element.value);
    if ('options' in element)
      for (const { value } of Object.values(element.options)) variablesOf(value, into);
  }
  return into;
}

/** `messages/de.json line 7 greeting`: a place that a person can open. */
function placeOf(files: NoticeFiles, language: string, key: string): string {
  const file = `messages/${language}.json`;
  const text = files[file] ?? '';
  const at = text.indexOf(`${JSON.stringify(key)}`);
  return at < 0 ? `${file} ${key}` : `${file} line ${lineOf(text, at)} ${key}`;
}

/**
 * Checks that all messages are ICU MessageFormat, and that none asks for a variable that the default language's does not.
 * @throws Fault `notice.invalid`, naming file, line and key.
 */
export function checkMessages(notice: Notice, files: NoticeFiles): void {
  const { languages, defaultLanguage } = notice.settings;
  const read = (language: string, key: string): Set<string> => {
    try {
      const text = notice.messages[language]?.[key] ?? '';
      const format = new IntlMessageFormat(text, language, undefined, { ignoreTag: true });
      return variablesOf(format.getAst(), new Set());
    } catch (cause) {
      throw new Fault('notice.invalid', `the message ${key} is not ICU MessageFormat`, {
        where: placeOf(files, language, key),
        remedy: `mend its braces: ${cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : ''}`,
      });
    }
  };
  for (const key of Object.keys(notice.messages[defaultLanguage] ?? {})) {
    const known = read(defaultLanguage, key);
    for (const language of languages) {
      const unknown = [...read(language, key)].find((name) => !known.has(name));
      if (unknown !== undefined)
        throw new Fault(
          'notice.invalid',
          `the message ${key} asks for {${unknown}}, which it does not in ${defaultLanguage}`,
          { where: placeOf(files, language, key), remedy: 'name the variables as there' },
        );
    }
  }
}

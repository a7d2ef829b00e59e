/** What the server tells its operator, by the levels of `loglevel`. The program decides where it goes. */
export interface Logger {
  debug(line: string): void
  verbose(line: string): void
  notice(line: string): void
  warning(line: string): void
}

export const silentLog: Logger = { debug: nothing, verbose: nothing, notice: nothing, warning: nothing }

function nothing(): void {}

/** Where and when a benchmark ran. The machine is described by what it is, not by its name. */
import os from 'node:os'

/** The circumstances of a run. */
export interface Circumstances {
  date: string
  node: string
  versions: Record<string, string>
  cpu: string
  cores: number
  memoryGb: number
  system: string
  loadAverage: number
}

export function circumstances(versions: Record<string, string>): Circumstances {
  const cpus = os.cpus()
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    versions,
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    cores: cpus.length,
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release().split('-')[0]} ${os.arch()}`,
    loadAverage: Number(os.loadavg()[0].toFixed(1)),
  }
}

namespace Cnvm.Vmm.Requests;

/// <summary>The body of <c>vm.migration-set</c>: what is given changes the migration under way.</summary>
/// <param name="DowntimeMs">Longest time in which the guest runs nowhere, in milliseconds, from 1.</param>
/// <param name="TimeoutS">Longest time for all of it, in seconds, from 1, counted from its beginning.</param>
/// <param name="MaxBytesPerS">Most bytes a second on the connection; 0 for as many as go.</param>
public sealed record MigrationSettings(ulong? DowntimeMs = null, ulong? TimeoutS = null, ulong? MaxBytesPerS = null);

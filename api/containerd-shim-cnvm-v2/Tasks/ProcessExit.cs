namespace Cnvm.Shim.Tasks;

/// <summary>How and when a process ended.</summary>
/// <param name="Status">Exit code, or 128 and the number of the signal.</param>
/// <param name="At">null if it never ran.</param>
internal sealed record ProcessExit(uint Status, DateTimeOffset? At);

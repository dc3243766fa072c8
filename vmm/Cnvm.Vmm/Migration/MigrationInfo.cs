namespace Cnvm.Vmm.Migration;

/// <summary>The answer to <c>vm.migration</c>: the migration under way, or the last one.</summary>
/// <param name="Guest">Where the guest is.</param>
/// <param name="Url">Of the other side for a source, of its own for a target.</param>
/// <param name="Peer">Program at the other side; null before it has answered.</param>
/// <param name="Compression">lz4 or none; null before both have agreed.</param>
/// <param name="Rounds">Times that the memory has been gone through; the last one with the guest stopped.</param>
/// <param name="MemoryBytes">RAM of the guest.</param>
/// <param name="DataPages">Pages of 4 KiB sent with contents, those sent again included.</param>
/// <param name="ZeroPages">Pages sent as zeros.</param>
/// <param name="TransferredBytes">Bytes on the connection.</param>
/// <param name="RemainingBytes">RAM, and bytes of disks that move along, still to be sent, as far as is known.</param>
/// <param name="BandwidthBytesPerS">Guest memory and disks sent in a second, measured; 0 before there is a figure.</param>
/// <param name="DirtyBytesPerS">Guest memory and disks that the guest writes in a second, measured; 0 before there is a figure.</param>
/// <param name="ExpectedDowntimeMs">How long the guest would stand still if it were stopped now; null before there is a figure.</param>
/// <param name="DowntimeMs">How long it stood still; null before it has moved.</param>
/// <param name="ThrottlePercent">Share of their time that vCPUs are held back, to have it end.</param>
/// <param name="ElapsedMs">Since the migration began.</param>
/// <param name="Error">Why it failed, or what it waits for after a lost connection; null otherwise.</param>
/// <param name="DiskBytes">Size of the disks that move along; 0 if the other side has them already.</param>
/// <param name="DiskDataBytes">Bytes of disks sent with contents, those sent again included.</param>
/// <param name="DiskZeroBytes">Bytes of disks that were holes or zeros, and only named.</param>
/// <param name="PostcopyFaults">Pages that the guest or its devices had to wait for after it went on at the target.</param>
/// <param name="DeltaPages">Pages sent again of which only what had changed went; known at the source.</param>
/// <param name="DeltaSavedBytes">Bytes that did not have to be sent for that, against whole pages that are not compressed; known at the source.</param>
public sealed record MigrationInfo(
    MigrationSide Side,
    MigrationPhase Phase,
    GuestPlace Guest,
    string Url,
    string? Peer,
    string? Compression,
    uint Rounds,
    ulong MemoryBytes,
    ulong DataPages,
    ulong ZeroPages,
    ulong TransferredBytes,
    ulong RemainingBytes,
    ulong BandwidthBytesPerS,
    ulong DirtyBytesPerS,
    ulong? ExpectedDowntimeMs,
    ulong? DowntimeMs,
    uint ThrottlePercent,
    ulong ElapsedMs,
    string? Error,
    ulong DiskBytes,
    ulong DiskDataBytes,
    ulong DiskZeroBytes,
    ulong PostcopyFaults,
    ulong DeltaPages,
    ulong DeltaSavedBytes);

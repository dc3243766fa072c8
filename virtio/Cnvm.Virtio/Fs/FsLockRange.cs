namespace Cnvm.Virtio.Fs;

/// <summary>Bytes of a file from the first to the last, both included, and how they are locked or are to be.</summary>
/// <param name="End"><see cref="long.MaxValue"/>: it has no end.</param>
/// <param name="Type">F_RDLCK, F_WRLCK or F_UNLCK.</param>
internal readonly record struct FsLockRange(long Start, long End, short Type)
{
    public bool Overlaps(long start, long end) => Start <= end && start <= End;
}

using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Requests;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>The memory of a snapshot, to be put into a new machine.</summary>
/// <param name="path">The memory file; it need not exist when no range is in it.</param>
/// <param name="prefault">Every page is there before the guest runs.</param>
/// <param name="available">Bytes that the host has left; null to ask it.</param>
internal sealed class MemoryImage(string path, MemoryState state, MemoryRestoreMode mode, bool prefault, Func<ulong>? available = null)
{
    private const int PageBytes = 4096;

    /// <summary>The machine's RAM plan with what the snapshot adds to it.</summary>
    /// <exception cref="MachineBuildException">The configuration's memory is not the snapshot's.</exception>
    public IReadOnlyList<RamPiece> Place(IReadOnlyList<RamPiece> plan)
    {
        if (plan.Count != state.Ranges.Length)
        {
            throw new MachineBuildException($"memory: the configuration has {plan.Count} ranges of RAM, the snapshot {state.Ranges.Length}");
        }

        return [.. plan.Select((piece, i) => Place(piece, state.Ranges[i]))];
    }

    /// <summary>
    /// What keeps the contents from being put into a machine of this plan: another memory, files that are missing or cut off, a host without room. Nothing is
    /// made, and no contents are read.
    /// </summary>
    public IReadOnlyList<string> Obstacles(IReadOnlyList<RamPiece> plan)
    {
        IReadOnlyList<RamPiece> placed;
        try
        {
            placed = Place(plan);
        }
        catch (MachineBuildException e)
        {
            return [e.Message];
        }

        List<string> obstacles = [.. FileObstacles(placed)];
        try
        {
            if (state.Zstd is not null)
            {
                CompressedMemory.ThrowIfUnavailable();
            }

            using SafeFileHandle? file = Array.Exists(state.Ranges, r => r.IsSaved) ? Open() : null;
            if (RoomObstacle(placed, file) is { } obstacle)
            {
                obstacles.Add(obstacle);
            }
        }
        catch (Exception e) when (e is SnapshotException or IOException)
        {
            obstacles.Add($"memory: {e.Message}");
        }

        return obstacles;
    }

    /// <summary>Reads and checks what is not mapped.</summary>
    /// <param name="memory">Fresh: it reads as zeros.</param>
    /// <exception cref="SnapshotException">The memory file is missing, cut off or damaged.</exception>
    public void Load(GuestMemory memory)
    {
        if (mode == MemoryRestoreMode.OnDemand || !Array.Exists(state.Ranges, r => r.IsSaved))
        {
            return;
        }

        using SafeFileHandle file = Open();
        if (state.Zstd is not null)
        {
            LoadCompressed(new CompressedMemory(file, path, state), memory);
            return;
        }

        var extents = new DataExtents(file);
        foreach (MemoryRangeState range in state.Ranges)
        {
            if (range.IsSaved)
            {
                Load(file, extents, range, memory);
            }
        }
    }

    /// <summary>Loads and compares, once the guest runs, what has not been read yet; null when all has.</summary>
    /// <param name="memory">Allocated as <see cref="Place(IReadOnlyList{RamPiece})"/> says.</param>
    /// <param name="onDamage">Told, on another thread, that the file is not what was saved.</param>
    /// <exception cref="SnapshotException">The file is not there any more.</exception>
    public BackgroundLoad? LoadInBackground(GuestMemory memory, Action<string> onDamage, ILogger logger)
    {
        if (mode != MemoryRestoreMode.OnDemand)
        {
            return null;
        }

        var pieces = new List<BackgroundLoad.Piece>();
        for (int i = 0; i < state.Ranges.Length; i++)
        {
            MemoryRangeState range = state.Ranges[i];
            if (range.IsSaved)
            {
                pieces.Add(new BackgroundLoad.Piece(memory.Regions[i].HostAddress, (long)range.FileOffset, (long)range.Size, range.Checksums));
            }
        }

        return pieces.Count > 0 ? new BackgroundLoad(Open(), path, [.. pieces], state.ChunkBytes, maps: !prefault, onDamage, logger) : null;
    }

    private RamPiece Place(RamPiece piece, MemoryRangeState range)
    {
        if (piece.Gpa != range.Gpa || piece.Size != range.Size || (piece.ZoneId ?? "") != range.Zone)
        {
            throw new MachineBuildException(
                $"memory: the configuration has {piece.Size >> 20} MiB at 0x{piece.Gpa:x}{Zone(piece.ZoneId)}, the snapshot "
                + $"{range.Size >> 20} MiB at 0x{range.Gpa:x}{Zone(range.Zone)}");
        }

        if (!range.IsSaved)
        {
            return piece.File is not null
                ? piece
                : throw new MachineBuildException(
                    $"memory{Zone(piece.ZoneId)}: its contents are in a file of its own and not in the snapshot; configure that file");
        }

        if (state.Zstd is not null && mode == MemoryRestoreMode.OnDemand)
        {
            throw new MachineBuildException("memory_restore_mode OnDemand: the snapshot is compressed; use Copy");
        }

        if (mode == MemoryRestoreMode.Copy)
        {
            return piece with { Prefault = piece.Prefault || prefault };
        }

        return !piece.Shared && piece.File is null && !piece.HugePages
            ? piece with { Image = path, ImageOffset = range.FileOffset, Prefault = prefault }
            : throw new MachineBuildException(
                $"memory{Zone(piece.ZoneId)}: memory_restore_mode OnDemand needs private memory of small pages; use Copy");
    }

    /// <summary>RAM that is not in the snapshot: a file that was made now would give the guest zeros for it.</summary>
    private IEnumerable<string> FileObstacles(IReadOnlyList<RamPiece> placed)
    {
        for (int i = 0; i < placed.Count; i++)
        {
            RamPiece piece = placed[i];
            if (!state.Ranges[i].IsSaved && ZoneObstacle(piece.File!, piece.FileOffset + piece.Size) is { } obstacle)
            {
                yield return $"memory{Zone(piece.ZoneId)}: its contents are not in the snapshot but in {piece.File}, which is to be as it was then: {obstacle}";
            }
        }
    }

    private static string? ZoneObstacle(string file, ulong end)
    {
        try
        {
            using SafeFileHandle opened = RegularFile.OpenRead(file);
            long length = RandomAccess.GetLength(opened);
            return (ulong)length >= end ? null : $"it is cut off: it has {length} bytes, the guest's memory goes up to {end}";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }

    /// <summary>A host that has not so much memory would end this program, or another one, in the middle of it.</summary>
    private string? RoomObstacle(IReadOnlyList<RamPiece> placed, SafeFileHandle? file)
    {
        ulong needed = 0;
        for (int i = 0; i < placed.Count; i++)
        {
            // Huge pages and files that keep themselves are no part of what is left.
            if (state.Ranges[i].IsSaved && !placed[i].HugePages)
            {
                needed += placed[i].Prefault ? placed[i].Size : mode == MemoryRestoreMode.OnDemand ? 0 : SnapshotMemory.HeldBytes(file!, state, i);
            }
        }

        ulong left = needed == 0 ? ulong.MaxValue : available?.Invoke() ?? AvailableMemory.Read();
        return needed <= left ? null
            : $"memory: {needed >> 20} MiB are to be filled before the guest runs, and this host has {left >> 20} MiB left; "
                + (prefault ? "restore without prefault" : "restore with memory_restore_mode OnDemand") + ", or make room";
    }

    private SafeFileHandle Open() => SnapshotMemory.Open(path, state);

    private void Load(SafeFileHandle file, DataExtents extents, MemoryRangeState range, GuestMemory memory)
    {
        for (int i = 0; i < range.Checksums.Length; i++)
        {
            ulong start = (ulong)i * state.ChunkBytes;
            Span<byte> chunk = memory.GetSpan(range.Gpa + start, (int)Math.Min(state.ChunkBytes, range.Size - start));
            uint crc = ReadChunk(file, extents, chunk, (long)(range.FileOffset + start));
            if (crc != range.Checksums[i])
            {
                throw new SnapshotException(
                    $"{path} is damaged: the checksum of bytes 0x{range.FileOffset + start:x} to 0x{range.FileOffset + start + (ulong)chunk.Length:x} is wrong");
            }
        }
    }

    /// <summary>Pages of zeros are not written, and so stay unallocated.</summary>
    private void LoadCompressed(CompressedMemory compressed, GuestMemory memory)
    {
        byte[] buffer = new byte[state.ChunkBytes];
        for (int r = 0; r < state.Ranges.Length; r++)
        {
            MemoryRangeState range = state.Ranges[r];
            for (int i = 0; i < range.Checksums.Length; i++)
            {
                ulong start = (ulong)i * state.ChunkBytes;
                Span<byte> chunk = memory.GetSpan(range.Gpa + start, (int)Math.Min(state.ChunkBytes, range.Size - start));
                Span<byte> read = buffer.AsSpan(0, chunk.Length);
                compressed.Read(r, i, read);
                if (Crc32C.Of(read) != range.Checksums[i])
                {
                    throw new SnapshotException($"{path} is damaged: the checksum of the RAM from 0x{range.Gpa + start:x} on is wrong");
                }

                for (int page = 0; page < read.Length; page += PageBytes)
                {
                    if (read.Slice(page, PageBytes).ContainsAnyExcept((byte)0))
                    {
                        read.Slice(page, PageBytes).CopyTo(chunk[page..]);
                    }
                }
            }
        }
    }

    /// <summary>Reads what is not a hole; holes leave the fresh memory untouched, and so unallocated.</summary>
    private uint ReadChunk(SafeFileHandle file, DataExtents extents, Span<byte> chunk, long offset)
    {
        uint crc = Crc32C.Start;
        long end = offset + chunk.Length;
        long at = offset;
        try
        {
            while (extents.TryFind(at, end, out long start, out long length))
            {
                crc = ZeroChecksum.Append(crc, start - at);
                Span<byte> data = chunk.Slice((int)(start - offset), (int)length);
                for (int done = 0; done < data.Length;)
                {
                    int read = RandomAccess.Read(file, data[done..], start + done);
                    done += read > 0 ? read : throw new SnapshotException($"{path} is cut off at byte {start + done}");
                }

                crc = Crc32C.Append(crc, data);
                at = start + length;
            }
        }
        catch (Exception e) when (e is IOException or LinuxException)
        {
            throw new SnapshotException($"{path} cannot be read: {e.Message}", e);
        }

        return Crc32C.Finish(ZeroChecksum.Append(crc, end - at));
    }

    private static string Zone(string? id) => string.IsNullOrEmpty(id) ? "" : $" (zone {id})";
}

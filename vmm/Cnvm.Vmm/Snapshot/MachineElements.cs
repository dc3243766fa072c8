using Cnvm.Hypervisor.State;
using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Snapshot;

/// <summary>The elements of a machine's state (FORMAT.md).</summary>
public static class MachineElements
{
    private const ulong PageBytes = 4096;

    // The largest address that a CPU can have (52 bits); keeps sums of address and size from wrapping.
    private const ulong AddressLimit = 1UL << 52;
    private const int IdBytes = 16;
    // Who reads a chunk at a time has so much memory for it.
    private const uint MaxChunk = 64 << 20;
    private const int MaxVcpus = 8192;

    /// <summary>For <see cref="StateWriter"/> and <see cref="StateReader"/>.</summary>
    public static MachineState Describe(StateVisitor v, MachineState? s)
    {
        ArgumentNullException.ThrowIfNull(v);
        var state = new MachineState
        {
            Producer = v.Text(1, "producer", s?.Producer),
            Hypervisor = v.Text(2, "hypervisor", s?.Hypervisor),
            Profile = v.Text(3, "machine", s?.Profile),
            CpuProfile = v.Text(4, "cpu_profile", s?.CpuProfile),
            Id = v.Bytes(5, "id", s?.Id),
            Memory = v.Record(6, "memory", s?.Memory, Memory),
            Clock = v.Record(7, "clock", s?.Clock, Clock),
            VmTime = v.U64(8, "vm_time", s?.VmTime),
            Vcpus = v.List(9, "vcpus", s?.Vcpus, Vcpu),
            Chipset = v.Record(10, "chipset", s?.Chipset, ChipsetElements.Describe),
            Virtio = v.List(11, "virtio", s?.Virtio, VirtioElements.Describe),
        };
        v.Require(state.Id.Length == IdBytes, $"an id of {state.Id.Length} bytes");
        v.Require(state.Vcpus.Length is >= 1 and <= MaxVcpus, $"{state.Vcpus.Length} vCPUs");
        for (int i = 0; i < state.Vcpus.Length; i++)
        {
            // Only where they come and go may one be missing between others, and never the first.
            uint index = state.Vcpus[i].Index;
            bool follows = i == 0 ? index == 0 : index > state.Vcpus[i - 1].Index;
            v.Require(follows && (index == i || state.Chipset.CpuHotplug is not null), $"vCPU {index} stands where vCPU {i} should");
        }

        v.Require(state.Chipset.CpuHotplug?.Vcpus.Length is null or (>= 1 and <= MaxVcpus), "hot-plug registers of no vCPU, or of too many");

        return state;
    }

    private static ParavirtualClock Clock(StateVisitor v, ParavirtualClock? c) => new(
        v.U64(1, "nanoseconds", c?.Nanoseconds), v.U64(2, "realtime", c?.RealtimeNanoseconds), v.U64(3, "host_tsc", c?.HostTsc));

    private static VcpuSlotState Vcpu(StateVisitor v, VcpuSlotState? s) => new(
        v.U32(1, "index", s?.Index), v.U32(2, "apic_id", s?.ApicId), v.Record(3, "state", s?.State, VcpuElements.Describe));

    private static MemoryState Memory(StateVisitor v, MemoryState? m)
    {
        var memory = new MemoryState
        {
            Ranges = v.List(1, "ranges", m?.Ranges, Range),
            Parent = v.Optional(2, "parent", m?.Parent, Parent),
            ChunkBytes = v.U32(3, "chunk_bytes", m?.ChunkBytes),
            Zstd = v.Optional(4, "zstd", m?.Zstd, static (v, z) => new CompressionState(v.U64List(1, "frames", z?.Frames))),
        };
        v.Require(memory.Ranges.Length > 0, "there is no memory");
        v.Require(memory.ChunkBytes is >= 4096 and <= MaxChunk && memory.ChunkBytes % PageBytes == 0, $"chunks of {memory.ChunkBytes} bytes");
        ulong end = 0;
        foreach (MemoryRangeState r in memory.Ranges)
        {
            v.Require(r.Gpa >= end, $"the range at 0x{r.Gpa:x} overlaps the one before it");
            end = r.Gpa + r.Size;
            ulong chunks = r.IsSaved ? (r.Size + memory.ChunkBytes - 1) / memory.ChunkBytes : 0;
            v.Require((ulong)r.Checksums.Length == chunks, $"the range at 0x{r.Gpa:x} has {r.Checksums.Length} checksums instead of {chunks}");
        }

        if (memory.Zstd is { } zstd)
        {
            int chunks = memory.Ranges.Sum(r => r.Checksums.Length);
            v.Require(zstd.Frames.Length == chunks, $"{zstd.Frames.Length} compressed frames for {chunks} chunks");

            // What does not become smaller becomes larger by a few bytes for each block.
            v.Require(Array.TrueForAll(zstd.Frames, f => f <= memory.ChunkBytes * 2UL), "a frame is larger than any compression makes it");
        }

        return memory;
    }

    private static byte[] Parent(StateVisitor v, byte[]? id)
    {
        byte[] parent = v.Bytes(1, "id", id);
        v.Require(parent.Length == IdBytes, $"an id of {parent.Length} bytes");
        return parent;
    }

    private static MemoryRangeState Range(StateVisitor v, MemoryRangeState? r)
    {
        var range = new MemoryRangeState
        {
            Gpa = v.U64(1, "gpa", r?.Gpa),
            Size = v.U64(2, "size", r?.Size),
            Zone = v.Text(3, "zone", r?.Zone),
            IsSaved = v.Bool(4, "saved", r?.IsSaved),
            FileOffset = v.U64(5, "file_offset", r?.FileOffset),
            Checksums = v.U64List(6, "checksums", r?.Checksums),
            Pages = v.U64List(7, "pages", r?.Pages),
        };
        v.Require(
            range.Size > 0 && range.Size % PageBytes == 0 && range.Gpa % PageBytes == 0 && range.Gpa < AddressLimit && range.Size < AddressLimit,
            $"no range of memory: 0x{range.Size:x} bytes at 0x{range.Gpa:x}");
        v.Require(range.FileOffset % PageBytes == 0 && range.FileOffset < AddressLimit, $"file offset 0x{range.FileOffset:x} is no page's");
        v.Require(
            range.Pages.Length == 0 || (ulong)range.Pages.Length == ((range.Size / PageBytes) + 63) / 64,
            $"{range.Pages.Length} words of page bits for 0x{range.Size:x} bytes");
        return range;
    }
}

using Cnvm.Api;
using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.State;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Snapshot;
using Cnvm.Vmm.Tests.Snapshot;

namespace Cnvm.Cli.Tests;

/// <summary>Snapshots and descriptions of hosts, on disk without a VM.</summary>
internal static class SnapshotFixture
{
    public const int PageBytes = 4096;
    private const uint Khz = 2_600_000;

    /// <summary>A guest of two vCPUs that was shown AES and AVX2 on the host of <see cref="Host"/>.</summary>
    public static MachineState Guest()
    {
        MachineState state = SampleState.Make();
        VcpuState vcpu = state.Vcpus[0].State with { Cpuid = Table(), TscKhz = Khz };
        return state with { CpuProfile = CpusConfig.HostProfile, Vcpus = [.. state.Vcpus.Select(v => v with { State = vcpu })] };
    }

    public static HostCapabilities Host() => new()
    {
        Hypervisor = "test",
        MaxVcpus = 8,
        PhysicalAddressBits = 48,
        TscScaling = false,
        TscKhz = Khz,
        Cpuid = Table(),
    };

    /// <summary>A host without AES and with room for one vCPU.</summary>
    public static HostCapabilities SmallHost() => Host() with { MaxVcpus = 1, Cpuid = Table(ecx1: 1) };

    public static string WriteState(string folder, MachineState state) =>
        WriteBytes(folder, StateWriter.Write(state, MachineElements.Describe));

    public static string WriteBytes(string folder, byte[] state)
    {
        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, SnapshotFiles.State);
        File.WriteAllText(path, $$"""{"format":"cnvm-state","version":1,"state":"{{Convert.ToBase64String(state)}}"}""");
        File.WriteAllText(Path.Combine(folder, SnapshotFiles.Config), "{}");
        return path;
    }

    /// <summary>A snapshot with two pages of RAM.</summary>
    /// <param name="parent">Id of the snapshot that it is the difference to; null for a full one.</param>
    /// <param name="pages">Bit for each page that it holds; 0 means all.</param>
    public static void WriteWithMemory(string folder, byte id, byte? parent, byte[] memory, ulong pages)
    {
        WriteState(folder, Guest() with
        {
            Id = Id(id),
            Memory = new MemoryState
            {
                Parent = parent is { } p ? Id(p) : null,
                ChunkBytes = PageBytes,
                Ranges =
                [
                    new MemoryRangeState
                    {
                        Gpa = 0,
                        Size = (ulong)memory.Length,
                        Zone = "",
                        IsSaved = true,
                        FileOffset = 0,
                        Checksums = [.. memory.Chunk(PageBytes).Select(c => (ulong)Crc32C.Of(c))],
                        Pages = pages == 0 ? [] : [pages],
                    },
                ],
            },
        });
        File.WriteAllBytes(Path.Combine(folder, SnapshotFiles.Memory), memory);
    }

    /// <summary>A whole snapshot of a guest without disks that the host runs, whose memory is all zeros.</summary>
    public static void WriteForHost(string folder, HostCapabilities host)
    {
        const uint Chunk = 2 << 20;
        const int Chunks = 32;
        MachineState guest = Guest();
        VcpuState vcpu = guest.Vcpus[0].State with { Cpuid = host.Cpuid, TscKhz = host.TscKhz, Msrs = [] };
        WriteState(folder, guest with
        {
            Vcpus = [.. guest.Vcpus.Select(v => v with { State = vcpu })],
            Memory = new MemoryState
            {
                ChunkBytes = Chunk,
                Ranges = [new MemoryRangeState { Gpa = 0, Size = Chunks * Chunk, Zone = "", IsSaved = true, FileOffset = 0, Checksums = new ulong[Chunks], Pages = [] }],
            },
        });
        VmConfig config = new(Memory: new MemoryConfig(Size: Chunks * Chunk), Payload: new PayloadConfig(Kernel: "/nowhere"));
        File.WriteAllBytes(Path.Combine(folder, SnapshotFiles.Config), new VmConfigCodec().Write(config));
        using FileStream memory = File.Create(Path.Combine(folder, SnapshotFiles.Memory));
        memory.SetLength(Chunks * Chunk);
    }

    private static byte[] Id(byte value) => [.. Enumerable.Repeat(value, 16)];

    private static CpuidTable Table(uint ecx1 = 1 | (1u << 25)) => new(
    [
        new CpuidEntry { Leaf = 0, Eax = 0xd, Ebx = 1 },
        new CpuidEntry { Leaf = 1, Ecx = ecx1 },
        new CpuidEntry { Leaf = 7, HasSubleaf = true, Ebx = 1u << 5 },
        new CpuidEntry { Leaf = 0x8000_0008, Eax = 46 },
    ]);
}

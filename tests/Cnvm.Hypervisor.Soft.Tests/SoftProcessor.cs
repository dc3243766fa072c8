using Cnvm.Arch.Registers;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>A software vCPU in 64-bit mode over the same arena as <see cref="NativeProcessor"/>, at the same addresses.</summary>
internal sealed unsafe class SoftProcessor : IDisposable
{
    private const ulong TablesAddress = NativeProcessor.ArenaBase + 0x30_0000;

    private readonly SoftHypervisor _hypervisor = SoftHypervisor.Create();
    private readonly IPartition _partition;
    private readonly SoftVcpu _vcpu;

    public SoftProcessor()
    {
        BuildTables();
        _partition = _hypervisor.CreatePartition(new PartitionOptions { MaxVcpus = 1 });
        _partition.MapRam(new RamRegion(NativeProcessor.ArenaBase, NativeProcessor.ArenaSize, (nint)NativeProcessor.ArenaBase));
        StopBus bus = new();
        _vcpu = (SoftVcpu)_partition.CreateVcpu(0, 0, _hypervisor.SupportedCpuid, bus);
        bus.Stop = _vcpu.Kick;
        SegmentRegister code = new() { Limit = uint.MaxValue, Selector = 8, Attributes = 0xa09b };
        SegmentRegister data = new() { Limit = uint.MaxValue, Selector = 16, Attributes = 0xc093 };
        _vcpu.SetEntry(new VcpuEntry
        {
            General = new GeneralRegisters { Rip = NativeProcessor.CodeAddress, Rflags = 2 },
            System = new SystemRegisters
            {
                Cs = code,
                Ds = data,
                Es = data,
                Fs = data,
                Gs = data,
                Ss = data,
                Cr0 = 0x8000_0033,
                Cr3 = TablesAddress,
                Cr4 = 0x40620,
                Efer = 0x500,
            },
        });
        _vcpu.Bind();
    }

    /// <summary>What ends the code: a port write that makes the run return, and a jump to itself to return from.</summary>
    public static ReadOnlySpan<byte> Tail => [0xe6, 0x80, 0xeb, 0xfe];

    public ulong Instructions => _vcpu.InstructionCount;

    public SoftVcpu Vcpu => _vcpu;

    public VcpuStop Run(ProcessorState state)
    {
        Cpu* c = _vcpu.State;
        // The code was written from outside; a fresh translation looks at it again.
        Mmu.FlushAll(c);
        for (int i = 0; i < 16; i++)
        {
            c->R[i] = state.General[i];
        }

        c->R[17] = NativeProcessor.CodeAddress;
        Soft.Core.StatusFlags.Set(c, state.Flags);
        for (int i = 0; i < 32; i++)
        {
            c->Vector[((i >> 1) * 4) + (i & 1)] = state.Vectors[i];
        }

        for (int i = 0; i < 8; i++)
        {
            c->Fpr[i * 2] = state.Vectors[32 + i];
        }

        VcpuStop stop = _vcpu.Run();
        for (int i = 0; i < 16; i++)
        {
            state.General[i] = c->R[i];
        }

        state.Flags = Soft.Core.StatusFlags.Get(c);
        for (int i = 0; i < 32; i++)
        {
            state.Vectors[i] = c->Vector[((i >> 1) * 4) + (i & 1)];
        }

        for (int i = 0; i < 8; i++)
        {
            state.Vectors[32 + i] = c->Fpr[i * 2];
        }

        return stop;
    }

    public void Dispose()
    {
        _vcpu.Dispose();
        _partition.Dispose();
        _hypervisor.Dispose();
    }

    /// <summary>Identity mapping of the arena with 2 MiB pages.</summary>
    private static void BuildTables()
    {
        ulong* tables = (ulong*)TablesAddress;
        tables[0] = (TablesAddress + 0x1000) | 3;
        ulong* directoryPointers = tables + 512;
        directoryPointers[0] = (TablesAddress + 0x2000) | 3;
        ulong* directory = tables + 1024;
        for (ulong a = NativeProcessor.ArenaBase; a < NativeProcessor.ArenaBase + NativeProcessor.ArenaSize; a += 2 << 20)
        {
            directory[a >> 21] = a | 0x83;
        }
    }

    /// <summary>Any port write stops the run.</summary>
    private sealed class StopBus : IVcpuBus
    {
        public Action Stop { get; set; } = static () => { };

        public void ReadPort(ushort port, Span<byte> data) => data.Fill(0xff);

        public void WritePort(ushort port, ReadOnlySpan<byte> data) => Stop();

        public void ReadMmio(ulong gpa, Span<byte> data) => data.Fill(0xff);

        public void WriteMmio(ulong gpa, ReadOnlySpan<byte> data)
        {
        }

        public void EndOfInterrupt(byte vector)
        {
        }

        public byte AcknowledgePic() => 0;
    }
}

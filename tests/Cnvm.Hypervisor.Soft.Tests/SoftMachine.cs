using Cnvm.Arch.Registers;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Linux;

namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>
/// A machine of software vCPUs with RAM from 0 and nothing else. RAM lies between pages that no access survives, and accesses
/// outside it go to <see cref="Bus"/>.
/// </summary>
internal sealed unsafe class SoftMachine : IDisposable
{
    public const ulong RamSize = 1 << 20;
    public const ulong CodeAddress = 0x1_0000;
    public const ulong StackTop = 0x9000;
    public const ulong DataAddress = 0x4_0000;
    private const ulong TablesAddress = 0x8_0000;
    private const ulong GdtAddress = 0x5000;
    private const ulong IdtAddress = 0x6000;
    private const ulong TssAddress = 0x7000;
    private const int FixedMapping = 0x10;

    private readonly MappedMemory _reserved;
    private readonly SoftHypervisor _hypervisor = SoftHypervisor.Create();

    public SoftMachine(int vcpus = 1)
    {
        _reserved = MappedMemory.Map((nuint)RamSize + 0x20_0000, 0, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0, "guarded RAM");
        Ram = (byte*)_reserved.Address + 0x10_0000;
        nint at = Libc.mmap(
            (nint)Ram, (nuint)RamSize, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | FixedMapping, -1, 0);
        if (at != (nint)Ram)
        {
            throw new InvalidOperationException("no RAM");
        }

        Partition = _hypervisor.CreatePartition(new PartitionOptions { MaxVcpus = vcpus });
        Region = new RamRegion(0, RamSize, (nint)Ram);
        Partition.MapRam(Region);
        Vcpus = [.. Enumerable.Range(0, vcpus).Select(i => (SoftVcpu)Partition.CreateVcpu(i, (uint)i, _hypervisor.SupportedCpuid, Bus))];
        Bus.Kick = KickAll;
        BuildTables();
    }

    public byte* Ram { get; }

    public RamRegion Region { get; }

    public IPartition Partition { get; }

    public SoftVcpu[] Vcpus { get; }

    public SoftVcpu Vcpu => Vcpus[0];

    public TestBus Bus { get; } = new();

    public Span<byte> At(ulong address, int length) => new(Ram + address, length);

    public void Write(ulong address, params ReadOnlySpan<byte> bytes) => bytes.CopyTo(At(address, bytes.Length));

    public ulong Read64(ulong address) => *(ulong*)(Ram + address);

    /// <summary>Handlers that write their vector's number to the port of the same number.</summary>
    public void AddHandlers()
    {
        for (int v = 0; v < 32; v++)
        {
            ulong handler = 0xa000 + ((ulong)v * 16);
            *(ulong*)(Ram + IdtAddress + (v * 16)) = handler | ((ulong)0x8 << 16) | 0x0000_8e00_0000_0000;
            Write(handler, 0xe6, (byte)v, 0xeb, 0xfc);
        }
    }

    /// <summary>Starts a vCPU at an address in a mode.</summary>
    public void Enter(int index, CpuMode mode, ulong rip, Action<ulong[]>? registers = null)
    {
        ulong[] r = new ulong[16];
        r[4] = StackTop - ((ulong)index * 0x400);
        registers?.Invoke(r);
        Vcpus[index].SetEntry(new VcpuEntry
        {
            General = new GeneralRegisters
            {
                Rax = r[0], Rcx = r[1], Rdx = r[2], Rbx = r[3], Rsp = r[4], Rbp = r[5], Rsi = r[6], Rdi = r[7],
                R8 = r[8], R9 = r[9], R10 = r[10], R11 = r[11], R12 = r[12], R13 = r[13], R14 = r[14], R15 = r[15],
                Rip = rip,
                Rflags = mode == CpuMode.LongUser ? 0x3002ul : 2,
            },
            System = System(mode),
        });
        Vcpus[index].State->Xcr0 = 7;
        SoftVcpu.UpdateMode(Vcpus[index].State);
    }

    /// <summary>Runs the first vCPU until something kicks it.</summary>
    public VcpuStop Run()
    {
        Bus.Ports.Clear();
        return Vcpu.Run();
    }

    public void Dispose()
    {
        foreach (SoftVcpu v in Vcpus)
        {
            v.Dispose();
        }

        Partition.Dispose();
        _hypervisor.Dispose();
        _reserved.Dispose();
    }

    private void KickAll()
    {
        foreach (SoftVcpu v in Vcpus)
        {
            v.Kick();
        }
    }

    private static SystemRegisters System(CpuMode mode)
    {
        bool real = mode == CpuMode.Real;
        bool user = mode is CpuMode.LongUser or CpuMode.ProtectedUser;
        bool wide = mode is CpuMode.Long or CpuMode.LongUser or CpuMode.Compatibility;
        bool paging = wide || mode is CpuMode.Paged or CpuMode.ProtectedUser;
        uint dpl = user ? 0x60u : 0;
        SegmentRegister data = real
            ? new SegmentRegister { Limit = 0xffff, Attributes = 0x93 }
            : new SegmentRegister { Limit = uint.MaxValue, Selector = (ushort)(user ? 0x1b : 0x10), Attributes = 0xc093 | dpl };
        uint codeAttributes = mode switch
        {
            CpuMode.Real => 0x9bu,
            CpuMode.Protected16 => 0x809b,
            CpuMode.Long or CpuMode.LongUser => 0xa09b,
            _ => 0xc09b,
        };
        return new SystemRegisters
        {
            Cs = new SegmentRegister
            {
                Base = 0,
                Limit = real ? 0xffff : uint.MaxValue,
                Selector = (ushort)(real ? 0 : user ? 0x23 : 8),
                Attributes = codeAttributes | dpl,
            },
            Ds = data,
            Es = data,
            Fs = data,
            Gs = data,
            Ss = data,
            Tr = new SegmentRegister { Base = TssAddress, Limit = 0x67, Selector = 0x28, Attributes = 0x8b },
            Gdt = new DescriptorTable(GdtAddress, 0x37),
            Idt = new DescriptorTable(real ? 0 : IdtAddress, 0x1ff),
            Cr0 = 0x32ul | (real ? 0u : 1) | (paging ? 0x8001_0000ul : 0),
            Cr3 = wide ? TablesAddress : TablesAddress + 0x8000,
            Cr4 = wide ? 0x40620u : 0x610,
            Efer = wide ? 0x501u : 0,
        };
    }

    /// <summary>Identity maps: four levels of 4 KiB pages, and 32-bit tables of 4 MiB pages.</summary>
    private void BuildTables()
    {
        ulong* tables = (ulong*)(Ram + TablesAddress);
        tables[0] = (TablesAddress + 0x1000) | 0x67;
        tables[512] = (TablesAddress + 0x2000) | 0x67;
        tables[1024] = (TablesAddress + 0x3000) | 0x67;
        for (ulong a = 0; a < 2 << 20; a += 0x1000)
        {
            tables[1536 + (a >> 12)] = a | 0x67;
        }

        uint* legacy = (uint*)(Ram + TablesAddress + 0x8000);
        for (uint i = 0; i < 1024; i++)
        {
            legacy[i] = (i << 22) | 0xe7;
        }

        ulong* gdt = (ulong*)(Ram + GdtAddress);
        gdt[1] = 0x00af_9b00_0000_ffff;
        gdt[2] = 0x00cf_9300_0000_ffff;
        gdt[3] = 0x00cf_f300_0000_ffff;
        gdt[4] = 0x00af_fb00_0000_ffff;
        gdt[5] = 0x0000_8b00_0000_0067 | (TssAddress << 16);
        *(ulong*)(Ram + TssAddress + 4) = 0x8000;
    }

    /// <summary>The 4 KiB page's entry in the long mode tables.</summary>
    public ref ulong PageEntry(ulong address) => ref *(ulong*)(Ram + TablesAddress + 0x3000 + (address >> 12 << 3));

    /// <summary>The entry of the whole 2 MiB.</summary>
    public ref ulong DirectoryEntry => ref *(ulong*)(Ram + TablesAddress + 0x2000);
}

internal enum CpuMode
{
    Real,
    Protected16,
    Protected,
    Paged,
    ProtectedUser,
    Compatibility,
    Long,
    LongUser,
}

/// <summary>Remembers port writes and kicks on each; MMIO reads are all ones.</summary>
internal sealed class TestBus : IVcpuBus
{
    public List<(ushort Port, uint Value)> Ports { get; } = [];

    public Action Kick { get; set; } = static () => { };

    /// <summary>Called in place of the kick when it is set.</summary>
    public Action<ushort>? OnPort { get; set; }

    public ulong MmioValue { get; set; } = ulong.MaxValue;

    public int MmioReads { get; private set; }

    public void ReadPort(ushort port, Span<byte> data) => data.Fill(0xff);

    public void WritePort(ushort port, ReadOnlySpan<byte> data)
    {
        lock (Ports)
        {
            uint value = 0;
            for (int i = 0; i < data.Length; i++)
            {
                value |= (uint)data[i] << (i * 8);
            }

            Ports.Add((port, value));
        }

        if (OnPort is { } handler)
        {
            handler(port);
        }
        else
        {
            Kick();
        }
    }

    public void ReadMmio(ulong gpa, Span<byte> data)
    {
        MmioReads++;
        for (int i = 0; i < data.Length; i++)
        {
            data[i] = (byte)(MmioValue >> ((i & 7) * 8));
        }
    }

    public void WriteMmio(ulong gpa, ReadOnlySpan<byte> data)
    {
    }

    public void EndOfInterrupt(byte vector)
    {
    }

    public byte AcknowledgePic() => 0;
}

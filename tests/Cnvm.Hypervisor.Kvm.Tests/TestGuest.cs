using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Registers;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Iced.Intel;

namespace Cnvm.Hypervisor.Kvm.Tests;

/// <summary>
/// A machine with one vCPU that starts in 64-bit mode at privilege level 3, with a TSS that permits every port: code that every
/// KVM runs natively, also one without hardware virtualisation. The first GiB (RAM at its start), the second (MMIO) and the
/// fourth (local APIC) are mapped one to one.
/// </summary>
internal sealed class TestGuest : IDisposable
{
    public const ulong RamSize = 32 << 20;
    public const ulong Mmio = 0x4000_0000;
    public const ulong Code = 0x10_0000;
    public const ulong Stack = 0x20_0000;
    public const ulong Data = 0x30_0000;

    /// <summary>Registers that the machine hides from its guest.</summary>
    public static readonly MsrRange HiddenMsrs = new(0xc001_0000, 8);

    private const ulong Pml4 = 0x1000;
    private const ulong Pdpt = 0x2000;
    private const ulong Pd = 0x3000;
    private const ulong MmioPd = 0x4000;
    private const ulong HighPd = 0x5000;
    private const ulong Gdt = 0x8000;
    private const ulong Tss = 0xa000;
    private const uint TssLimit = 0x67 + 8193;
    private const ulong Idt = 0x9000;
    private const ulong InterruptStack = 0x1_0000;

    private readonly KvmHypervisor _kvm;
    private readonly MappedMemory _mapping;
    private Task? _run;

    public TestGuest(RecordingBus bus, bool dirtyRing = false, CpuidTable? cpuid = null)
        : this((IVcpuBus)bus, dirtyRing, cpuid)
    {
    }

    public TestGuest(IVcpuBus bus, bool dirtyRing = false, CpuidTable? cpuid = null)
    {
        _kvm = TestHost.Open();
        _mapping = MappedMemory.Anonymous((nuint)RamSize);
        Region = new RamRegion(0, RamSize, _mapping.Address);
        Memory = new GuestMemory(_mapping.Address, [Region], _mapping);
        Partition = _kvm.CreatePartition(new PartitionOptions { MaxVcpus = 2, PreferDirtyRing = dirtyRing, HiddenMsrs = [HiddenMsrs] });
        Partition.MapRam(Region);
        Vcpu = Partition.CreateVcpu(0, 0, cpuid ?? _kvm.SupportedCpuid, bus);
        WriteTables();
    }

    public KvmHypervisor Kvm => _kvm;

    public RamRegion Region { get; }

    public GuestMemory Memory { get; }

    public IPartition Partition { get; }

    public IVirtualCpu Vcpu { get; }

    /// <summary>Assembles a program at <see cref="Code"/> and points the vCPU at it.</summary>
    public void Load(Action<Assembler> program, ulong at = Code)
    {
        Put(program, at);
        Vcpu.SetEntry(UserEntry(at));
    }

    public void Put(Action<Assembler> program, ulong at)
    {
        var assembler = new Assembler(64);
        program(assembler);
        var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), at);
        stream.ToArray().CopyTo(Memory.GetSpan(at, (int)stream.Length));
    }

    /// <summary>An interrupt handler (privilege level 0) for a vector.</summary>
    public void Handle(byte vector, ulong handler)
    {
        Span<byte> gate = Memory.GetSpan(Idt + (16UL * vector), 16);
        gate.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(gate, (ushort)handler);
        BinaryPrimitives.WriteUInt16LittleEndian(gate[2..], 0x08);
        gate[5] = 0x8e; // present, 64-bit interrupt gate
        BinaryPrimitives.WriteUInt16LittleEndian(gate[6..], (ushort)(handler >> 16));
        BinaryPrimitives.WriteUInt32LittleEndian(gate[8..], (uint)(handler >> 32));
    }

    /// <summary>
    /// Installs a handler that counts at <paramref name="counter"/> and ends the interrupt at the local APIC, and has the
    /// program's start enable that APIC (spurious vector register, SDM vol. 3 §11.9).
    /// </summary>
    public void CountInterrupts(byte vector, ulong counter, bool endAtApic = true)
    {
        ulong handler = 0x4_0000 + (256UL * vector);
        Put(
            c =>
            {
                c.inc(AssemblerRegisters.__qword_ptr[counter]);
                if (endAtApic)
                {
                    c.push(AssemblerRegisters.rax);
                    c.mov(AssemblerRegisters.eax, 0xfee0_00b0u);
                    c.mov(AssemblerRegisters.__dword_ptr[AssemblerRegisters.rax], 0);
                    c.pop(AssemblerRegisters.rax);
                }

                c.iretq();
            },
            handler);
        Handle(vector, handler);
    }

    /// <summary>Emits what switches the local APIC on.</summary>
    public static void EnableApic(Assembler c)
    {
        c.mov(AssemblerRegisters.eax, 0xfee0_00f0u);
        c.mov(AssemblerRegisters.__dword_ptr[AssemblerRegisters.rax], 0x1ff);
    }

    /// <summary>Runs the vCPU on a thread of its own until it stops.</summary>
    public Task<VcpuStop> Start()
    {
        Task<VcpuStop> run = Task.Factory.StartNew(
            () =>
            {
                Vcpu.Bind();
                return Vcpu.Run();
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        _run = run;
        return run;
    }

    /// <summary>Kicks the vCPU and waits for its run to end.</summary>
    public async Task<VcpuStop> Stop(Task<VcpuStop> run)
    {
        Vcpu.Kick();
        return await run.WaitAsync(Limit);
    }

    /// <summary>No test waits longer for anything.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    public ulong ReadWord(ulong gpa) => BinaryPrimitives.ReadUInt64LittleEndian(Memory.GetSpan(gpa, 8));

    public static VcpuEntry UserEntry(ulong rip, ulong rflags = 0x3202) => new()
    {
        General = new GeneralRegisters { Rip = rip, Rsp = Stack, Rflags = rflags },
        System = new SystemRegisters
        {
            Cs = Segment(0x2b, 0xb | 0x10 | (3u << 5) | 0x80 | 0x2000 | 0x8000),
            Ds = Segment(0x23, DataAttributes), Es = Segment(0x23, DataAttributes), Ss = Segment(0x23, DataAttributes),
            Fs = Segment(0x23, DataAttributes), Gs = Segment(0x23, DataAttributes),
            Tr = new SegmentRegister { Base = Tss, Limit = TssLimit, Selector = 0x30, Attributes = 0xb | 0x80 },
            Ldt = new SegmentRegister { Attributes = SegmentRegister.Unusable },
            Gdt = new DescriptorTable(Gdt, 0x3f),
            Idt = new DescriptorTable(Idt, 0xfff),
            Cr0 = 0x8000_0033, Cr3 = Pml4, Cr4 = 0x620, Efer = 0x500,
        },
    };

    /// <summary>As <see cref="UserEntry"/>, at privilege level 0.</summary>
    public static VcpuEntry SupervisorEntry(ulong rip)
    {
        VcpuEntry user = UserEntry(rip, 2);
        return user with
        {
            System = user.System with
            {
                Cs = Segment(0x08, 0xb | 0x10 | 0x80 | 0x2000 | 0x8000),
                Ds = Segment(0x10, SupervisorDataAttributes), Es = Segment(0x10, SupervisorDataAttributes), Ss = Segment(0x10, SupervisorDataAttributes),
            },
        };
    }

    public void Dispose()
    {
        // A test that failed may have left it running: what it runs on must not go away, as the process would end with it.
        if (_run is { IsCompleted: false })
        {
            Vcpu.Kick();
            ((IAsyncResult)_run).AsyncWaitHandle.WaitOne(Limit);
        }

        Vcpu.Dispose();
        Partition.Dispose();
        Memory.Dispose();
        _kvm.Dispose();
    }

    private const uint SupervisorDataAttributes = 0x3 | 0x10 | 0x80 | 0x4000 | 0x8000;
    private const uint DataAttributes = 0x3 | 0x10 | (3u << 5) | 0x80 | 0x4000 | 0x8000;

    private static SegmentRegister Segment(ushort selector, uint attributes) =>
        new() { Limit = uint.MaxValue, Selector = selector, Attributes = attributes };

    private void WriteTables()
    {
        // User, writable, present, in pages of 2 MiB.
        Words(Pml4)[0] = Pdpt | 7;
        Words(Pdpt)[0] = Pd | 7;
        Words(Pdpt)[1] = MmioPd | 7;
        Words(Pdpt)[3] = HighPd | 7;
        for (uint i = 0; i < 512; i++)
        {
            Words(Pd)[(int)i] = ((ulong)i << 21) | 0x87;
            Words(MmioPd)[(int)i] = (Mmio + ((ulong)i << 21)) | 0x87;
            Words(HighPd)[(int)i] = (0xc000_0000 + ((ulong)i << 21)) | 0x87;
        }

        Span<ulong> gdt = Words(Gdt);
        gdt[1] = 0x00af_9b00_0000_ffff; // 08: code, level 0
        gdt[2] = 0x00cf_9300_0000_ffff; // 10: data, level 0
        gdt[4] = 0x00cf_f300_0000_ffff; // 20: data, level 3
        gdt[5] = 0x00af_fb00_0000_ffff; // 28: code, level 3
        gdt[6] = 0x0000_8b00_0000_0000 | (Tss << 16) | TssLimit;
        BinaryPrimitives.WriteUInt64LittleEndian(Memory.GetSpan(Tss + 4, 8), InterruptStack);

        // The I/O permission bitmap follows at once: zeros permit, and a byte of ones ends it (SDM vol. 1 §19.5.2).
        BinaryPrimitives.WriteUInt16LittleEndian(Memory.GetSpan(Tss + 0x66, 2), 0x68);
        Memory.GetSpan(Tss + TssLimit, 1)[0] = 0xff;
    }

    private Span<ulong> Words(ulong gpa) => MemoryMarshal.Cast<byte, ulong>(Memory.GetSpan(gpa, 4096));
}

using Cnvm.Arch.Registers;
using Cnvm.Hypervisor.State;
using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>Code with the machine around it: what a processor makes of it is compared between two of them.</summary>
internal sealed class Scenario
{
    /// <param name="name">Unique.</param>
    /// <param name="mode">Decides the registers at the beginning and where <see cref="Assemble"/> puts code.</param>
    public Scenario(string name, ScenarioMode mode = ScenarioMode.Long)
    {
        Name = name;
        Mode = mode;
        IsUser = mode is ScenarioMode.LongUser or ScenarioMode.CompatibilityUser or ScenarioMode.PaeUser or ScenarioMode.PagedUser;
        IsWide = mode <= ScenarioMode.CompatibilityUser;
        Bits = mode is ScenarioMode.Long or ScenarioMode.LongUser ? 64 : mode == ScenarioMode.Real ? 16 : 32;
        CodeAddress = IsUser ? Layout.UserCode : Layout.KernelCode;
        System = BaseSystem();
        Registers[4] = mode == ScenarioMode.Real ? 0x8000 : IsUser ? Layout.UserStack : Layout.KernelStack;
    }

    public string Name { get; }

    public ScenarioMode Mode { get; }

    public bool IsUser { get; }

    /// <summary>Long mode: 64-bit tables and gates.</summary>
    public bool IsWide { get; }

    public int Bits { get; }

    public ulong CodeAddress { get; }

    public byte[] Ram { get; } = (byte[])Layout.Base.Clone();

    /// <summary>In the encoding's order: RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.</summary>
    public ulong[] Registers { get; } = new ulong[16];

    public ulong Flags { get; set; } = 2;

    public SystemRegisters System { get; set; }

    public ulong[] DebugAddresses { get; } = new ulong[4];

    public ulong Dr6 { get; set; } = 0xffff_0ff0;

    public ulong Dr7 { get; set; } = 0x400;

    public VcpuEvents Events { get; set; } = new();

    /// <summary>Values beside the usual ones; they are among what is compared.</summary>
    public Dictionary<uint, ulong> Msrs { get; } = [];

    /// <summary>Registers of the local APIC that do not begin with their reset value.</summary>
    public Dictionary<int, uint> Apic { get; } = new() { [0x350] = 0x1_0000, [0x360] = 0x1_0000 };

    /// <summary>An NMI waits at the beginning.</summary>
    public bool Nmi { get; set; }

    /// <summary>Parts of the outcome that are not compared, with the reason.</summary>
    public Dictionary<string, string> Ignored { get; } = [];

    /// <summary>
    /// Where the processor that is compared with is known not to do what the manual says: the beginning of the outcome that the manual
    /// asks for, which then stands in its place.
    /// </summary>
    public string? Manual { get; private set; }

    public string? Source { get; private set; }

    /// <summary>Table of gates that the mode uses.</summary>
    public ulong Idt => IsWide ? Layout.Idt64 : Mode == ScenarioMode.Real ? 0 : Layout.Idt32;

    public Scenario Assemble(Action<Assembler> code)
    {
        Assemble(CodeAddress, Bits, a =>
        {
            code(a);
            a.@out(Layout.EndPort, AssemblerRegisters.al);
        });
        return this;
    }

    public Scenario Assemble(ulong at, int bits, Action<Assembler> code)
    {
        Assembler a = new(bits);
        code(a);
        using MemoryStream stream = new();
        a.Assemble(new StreamCodeWriter(stream), at);
        stream.ToArray().CopyTo(Ram, (int)at);
        return this;
    }

    /// <summary>Code in bytes, followed by the end.</summary>
    public Scenario Code(string hex)
    {
        byte[] bytes = Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
        byte[] all = [.. bytes, 0xe6, Layout.EndPort, 0xeb, 0xfe];
        all.CopyTo(Ram, (int)CodeAddress);
        return this;
    }

    public Scenario Put(ulong at, ulong value)
    {
        Layout.Put(Ram, at, value);
        return this;
    }

    public Scenario Put32(ulong at, uint value)
    {
        Layout.Put32(Ram, at, value);
        return this;
    }

    public Scenario Gdt(ushort selector, ulong descriptor, ulong high = 0)
    {
        Put(Layout.Gdt + (selector & 0xfff8u), descriptor);
        if (high != 0)
        {
            Put(Layout.Gdt + (selector & 0xfff8u) + 8, high);
        }

        return this;
    }

    /// <summary>Replaces the gate of a vector.</summary>
    public Scenario Gate(int vector, ulong target, ushort selector, uint type, uint ist = 0)
    {
        ulong gate = Layout.Gate(target, selector, type, ist);
        if (!IsWide)
        {
            return Put(Idt + ((ulong)vector * 8), gate);
        }

        Put(Idt + ((ulong)vector * 16), gate);
        return Put(Idt + ((ulong)vector * 16) + 8, target >> 32);
    }

    /// <summary>A handler of one's own, in the memory behind the code; vectors share 256 bytes each.</summary>
    public Scenario Handler(int vector, int slot, Action<Assembler> code, uint type = 0x8e, uint ist = 0)
    {
        ulong at = Layout.KernelCode + 0x400 + ((ulong)slot * 0x100);
        Assemble(at, IsWide ? 64 : 32, code);
        return Gate(vector, at, IsWide ? Layout.Code64 : Layout.Code32, type, ist);
    }

    public Scenario Set(Action<Scenario> change)
    {
        change(this);
        return this;
    }

    public Scenario ChangeSystem(Func<SystemRegisters, SystemRegisters> change)
    {
        System = change(System);
        return this;
    }

    public Scenario Ignore(string part, string why)
    {
        Ignored[part] = why;
        return this;
    }

    /// <summary>The manual's word in place of the other processor's: space-separated parts of the outcome.</summary>
    public Scenario Says(string outcome, string source)
    {
        Manual = outcome;
        Source = source;
        return this;
    }

    private SystemRegisters BaseSystem()
    {
        if (Mode == ScenarioMode.Real)
        {
            SegmentRegister segment = new() { Limit = 0xffff, Attributes = 0x93 };
            return new SystemRegisters
            {
                // The code lies beyond the first 64 KiB.
                Cs = new SegmentRegister { Limit = 0xffff, Attributes = 0x9b, Selector = 0x1200, Base = Layout.KernelCode },
                Ds = segment, Es = segment, Fs = segment, Gs = segment, Ss = segment,
                Tr = new SegmentRegister { Limit = 0xffff, Attributes = 0x8b },
                Ldt = new SegmentRegister { Limit = 0xffff, Attributes = 0x82 },
                Gdt = new DescriptorTable(Layout.Gdt, Layout.GdtLimit),
                Idt = new DescriptorTable(0, 0x3ff),
                Cr0 = 0x10,
                ApicBase = 0xfee0_0900,
            };
        }

        uint dpl = IsUser ? 0x60u : 0;
        ushort code = Bits == 64 ? IsUser ? Layout.UserCode64 : Layout.Code64 : IsUser ? Layout.UserCode32 : Layout.Code32;
        SegmentRegister data = new()
        {
            Limit = uint.MaxValue,
            Selector = IsUser ? Layout.UserDataSelector : Layout.Data,
            Attributes = 0xc093 | dpl,
        };
        bool paging = Mode != ScenarioMode.Protected;
        // QEMU's processor stops altogether when it delivers through a busy 32-bit TSS that it did not load itself.
        uint task = IsWide ? 0x8bu : 0x89;
        bool pae = IsWide || Mode is ScenarioMode.Pae or ScenarioMode.PaeUser;
        return new SystemRegisters
        {
            Cs = new SegmentRegister { Limit = uint.MaxValue, Selector = code, Attributes = (Bits == 64 ? 0xa09bu : 0xc09b) | dpl },
            Ds = data, Es = data, Fs = data, Gs = data, Ss = data,
            Tr = new SegmentRegister { Base = IsWide ? Layout.Tss64 : Layout.Tss32, Limit = 0x67, Selector = Layout.Task, Attributes = task },
            Ldt = new SegmentRegister { Base = Layout.Ldt, Limit = 0xff, Selector = Layout.LdtSelector, Attributes = 0x82 },
            Gdt = new DescriptorTable(Layout.Gdt, Layout.GdtLimit),
            Idt = new DescriptorTable(Idt, 0xfff),
            Cr0 = 0x33ul | (paging ? 0x8001_0000ul : 0),
            Cr3 = IsWide ? Layout.Pml4 : pae ? Layout.PaePointers : Layout.LegacyDirectory,
            Cr4 = 0x600ul | (pae ? 0x20ul : 0x10),
            Efer = IsWide ? 0xd01ul : pae ? 0x800ul : 0,
            ApicBase = 0xfee0_0900,
        };
    }
}

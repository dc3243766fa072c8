using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Registers;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.Soft.Platform;
using Cnvm.Hypervisor.State;
using Cnvm.Linux;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>Runs scenarios on a hypervisor, whichever it is, through the contract alone.</summary>
internal sealed class ScenarioRunner : IDisposable
{
    private const string Late = "late";
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(4);

    /// <summary>Set by scenarios or by their code; every scenario begins with all of them, 0 unless it says otherwise.</summary>
    public static readonly ImmutableArray<uint> ComparedMsrs =
    [
        0x174, 0x175, 0x176, 0x277, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0102, 0xc000_0103,
    ];

    private const uint Tsc = 0x10;
    private const ulong ResetPat = 0x0007_0406_0007_0406;

    private readonly MappedMemory _memory;
    private readonly IPartition _partition;
    private readonly IVirtualCpu _vcpu;
    private readonly VcpuState _reset;
    private readonly ScenarioBus _bus = new();
    private readonly int _attempts;

    /// <summary>After FNINIT.</summary>
    private readonly ImmutableArray<byte> _startFpu;

    /// <param name="hypervisor">Stays the caller's.</param>
    /// <param name="cpuid">What both hypervisors that are compared can show.</param>
    /// <param name="attempts">How often a scenario may be late: a host with emulated processors has lost the timer that ends a halt.</param>
    public ScenarioRunner(IHypervisor hypervisor, CpuidTable cpuid, int attempts = 1)
    {
        _attempts = attempts;
        _memory = MappedMemory.Anonymous(Layout.RamSize);
        _partition = hypervisor.CreatePartition(new PartitionOptions { MaxVcpus = 1 });
        _partition.MapRam(new RamRegion(0, Layout.RamSize, _memory.Address));
        _vcpu = _partition.CreateVcpu(0, 0, cpuid, _bus);
        _vcpu.Bind();
        _bus.Kick = _vcpu.Kick;
        _reset = _vcpu.Save();
        byte[] xsave = new byte[_reset.Xsave.Length];
        BinaryPrimitives.WriteUInt16LittleEndian(xsave, 0x37f);
        BinaryPrimitives.WriteUInt32LittleEndian(xsave.AsSpan(24), 0x1f80);
        BinaryPrimitives.WriteUInt64LittleEndian(xsave.AsSpan(512), 3);
        _startFpu = [.. xsave];
    }

    private unsafe Span<byte> Ram => new((void*)_memory.Address, Layout.RamSize);

    /// <summary>
    /// What both can show. The software processor's words stand where KVM has at least as much.
    /// </summary>
    public static CpuidTable Common(CpuidTable soft, CpuidTable kvm) => new(soft.Select(e =>
    {
        // KVM leaves it to its user to show the deadline timer, which every KVM of today has.
        kvm.TryGet(e.Leaf, e.Subleaf, out CpuidEntry k);
        return e.Leaf switch
        {
            1 => e with { Ecx = e.Ecx & (k.Ecx | (1u << 31) | (1u << 24)), Edx = e.Edx & k.Edx },
            7 => e with { Ebx = e.Ebx & k.Ebx, Ecx = e.Ecx & k.Ecx },
            0xd => e with { Eax = e.Eax & k.Eax },
            // Where halts can be ended by hypercalls they may end once for nothing after a restore, which every scenario begins with.
            SoftCpuid.KvmFeatureLeaf => e with { Eax = e.Eax & ~SoftCpuid.KvmUnhalt },
            0x8000_0001 => e with { Ecx = e.Ecx & k.Ecx, Edx = e.Edx & k.Edx },
            0x8000_0008 => e with { Eax = 0x3000 | (k.Eax & 0xff), Ebx = 0 },
            0x8000_0021 => e with { Eax = 0, Ecx = 0 },
            _ => e,
        };
    }));

    public string Run(Scenario scenario)
    {
        for (int attempt = 1; ; attempt++)
        {
            string outcome = Run(scenario, out bool late);
            if (!late || attempt == _attempts)
            {
                return outcome;
            }
        }
    }

    public void Dispose()
    {
        _vcpu.Dispose();
        _partition.Dispose();
        _memory.Dispose();
    }

    private string Run(Scenario scenario, out bool isLate)
    {
        scenario.Ram.CopyTo(Ram);
        _bus.Clear();
        string end;
        VcpuState? state = null;
        try
        {
            _vcpu.Restore(State(scenario));
            if (scenario.Nmi)
            {
                _vcpu.InjectNmi();
            }

            bool late = false;
            VcpuStop stop;
            using (new Timer(
                _ =>
                {
                    late = true;
                    _vcpu.Kick();
                },
                null, Limit, Timeout.InfiniteTimeSpan))
            {
                stop = _vcpu.Run();
            }

            end = stop.Reason == VcpuStopReason.Kicked ? late && !_bus.HasStopped ? Late : _bus.Text : stop.Reason.ToString();
            // After a shutdown a processor's registers are nobody's any more (APM vol. 2 §15.14.3).
            state = stop.Reason == VcpuStopReason.Kicked ? _vcpu.Save() : null;
        }
        catch (HypervisorException e)
        {
            end = "refused:" + e.Message.Split('\n')[0].Replace(' ', '_');
        }

        isLate = end == Late;
        return Outcome.Text(scenario, end, state, Ram);
    }

    private VcpuState State(Scenario s)
    {
        ulong[] r = s.Registers;
        Dictionary<uint, ulong> msrs = ComparedMsrs.ToDictionary(static i => i, static i => i == 0x277 ? ResetPat : 0);
        msrs[Tsc] = 0;
        foreach ((uint index, ulong value) in s.Msrs)
        {
            msrs[index] = value;
        }

        ulong rip = s.CodeAddress - s.System.Cs.Base;
        return _reset with
        {
            MpState = MpState.Runnable,
            General = new GeneralRegisters
            {
                Rax = r[0], Rcx = r[1], Rdx = r[2], Rbx = r[3], Rsp = r[4], Rbp = r[5], Rsi = r[6], Rdi = r[7],
                R8 = r[8], R9 = r[9], R10 = r[10], R11 = r[11], R12 = r[12], R13 = r[13], R14 = r[14], R15 = r[15],
                Rip = rip,
                Rflags = s.Flags,
            },
            System = s.System,
            DebugAddresses = [.. s.DebugAddresses],
            Dr6 = s.Dr6,
            Dr7 = s.Dr7,
            Xsave = _startFpu,
            Lapic = [.. Apic(s)],
            Msrs = [.. msrs.OrderBy(static m => m.Key).Select(static m => new MsrValue(m.Key, m.Value))],
            Events = s.Events,
        };
    }

    /// <summary>The reset page, with the local interrupt pins as the processor has them and not as a machine wires them.</summary>
    private byte[] Apic(Scenario s)
    {
        byte[] page = [.. _reset.Lapic];
        foreach ((int register, uint value) in s.Apic)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(register), value);
        }

        return page;
    }

    /// <summary>Notes what is written to ports, and stops the vCPU at all but the note port.</summary>
    private sealed class ScenarioBus : IVcpuBus
    {
        private readonly List<string> _writes = [];

        public Action Kick { get; set; } = static () => { };

        public bool HasStopped { get; private set; }

        public string Text => string.Join(',', _writes);

        public void Clear()
        {
            _writes.Clear();
            HasStopped = false;
        }

        public void ReadPort(ushort port, Span<byte> data) => data.Fill(0xff);

        public void WritePort(ushort port, ReadOnlySpan<byte> data)
        {
            if (HasStopped)
            {
                // Code may come to its block's end before the kick counts.
                return;
            }

            if (port == Layout.NotePort)
            {
                byte[] reversed = data.ToArray();
                Array.Reverse(reversed);
                _writes.Add(Convert.ToHexStringLower(reversed));
                if (_writes.Count < 64)
                {
                    return;
                }
            }
            else
            {
                _writes.Add(port == Layout.EndPort ? "done" : string.Create(CultureInfo.InvariantCulture, $"vector{port}"));
            }

            HasStopped = true;
            Kick();
        }

        public void ReadMmio(ulong gpa, Span<byte> data) => data.Fill(0xff);

        public void WriteMmio(ulong gpa, ReadOnlySpan<byte> data)
        {
            // Nothing is there.
        }

        public void EndOfInterrupt(byte vector) => _writes.Add(string.Create(CultureInfo.InvariantCulture, $"eoi{vector}"));

        public byte AcknowledgePic() => 0;
    }
}

using System.Runtime.InteropServices;
using Cnvm.Arch.Registers;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>The software processor with the same guest as <see cref="KvmProcessor"/>.</summary>
internal sealed unsafe class SoftProcessor : IDisposable
{
    private readonly SoftHypervisor _hypervisor = SoftHypervisor.Create();
    private readonly IPartition _partition;
    private readonly SoftVcpu _vcpu;
    private readonly PortBus _bus = new();
    private readonly SystemRegisters _user;
    private bool _inUserMode;

    public SoftProcessor()
    {
        Ram = GuestLayout.Allocate();
        _partition = _hypervisor.CreatePartition(new PartitionOptions { MaxVcpus = 1 });
        _partition.MapRam(new RamRegion(0, GuestLayout.RamSize, (nint)Ram));
        _vcpu = (SoftVcpu)_partition.CreateVcpu(0, 0, _hypervisor.SupportedCpuid, _bus);
        _bus.Written = _vcpu.Kick;
        SegmentRegister data = new() { Limit = uint.MaxValue, Selector = GuestLayout.UserData, Attributes = 0xc0f3 };
        _user = new SystemRegisters
        {
            Cs = new SegmentRegister { Limit = uint.MaxValue, Selector = GuestLayout.UserCode, Attributes = 0xa0fb },
            Ds = data,
            Es = data,
            Fs = data,
            Gs = data,
            Ss = data,
            Tr = new SegmentRegister { Base = GuestLayout.TssAddress, Limit = 0x67, Selector = GuestLayout.TaskSelector,
                Attributes = 0x8b },
            Gdt = new DescriptorTable(GuestLayout.GdtAddress, 0x37),
            Idt = new DescriptorTable(GuestLayout.IdtAddress, 0x1ff),
            Cr0 = 0x8001_0033,
            Cr3 = GuestLayout.TablesAddress,
            Cr4 = 0x40620,
            Efer = 0x500,
        };
        _vcpu.Bind();
        _vcpu.State->Xcr0 = 7;
    }

    public byte* Ram { get; }

    public SoftVcpu Vcpu => _vcpu;

    /// <summary>Runs the code from <see cref="GuestLayout.CodeAddress"/> until its end or its first exception.</summary>
    public void Run(CpuImage state)
    {
        Cpu* c = _vcpu.State;
        if (!_inUserMode)
        {
            _vcpu.SetEntry(new VcpuEntry { General = new GeneralRegisters { Rflags = 0x3002 }, System = _user });
        }
        else
        {
            // The code was written from outside; a fresh translation looks at it again.
            Mmu.FlushAll(c);
        }

        for (int i = 0; i < 16; i++)
        {
            c->R[i] = state.General[i];
        }

        c->R[17] = GuestLayout.CodeAddress;
        Core.StatusFlags.Set(c, state.Flags);
        c->Flags = (state.Flags & (Rflags.DF | Rflags.TF)) | 0x3000;
        fixed (byte* x = state.Xsave)
        {
            *(ulong*)(x + 512) = 7;
            FpuState.RestoreAll(c, x, CpuImage.XsaveBytes);
        }

        _bus.Port = -1;
        VcpuStop stop = _vcpu.Run();
        if (stop.Reason != VcpuStopReason.Kicked || _bus.Port < 0)
        {
            throw new InvalidOperationException($"the software processor stopped: {stop.Reason}");
        }

        for (int i = 0; i < 16; i++)
        {
            state.General[i] = c->R[i];
        }

        fixed (byte* x = state.Xsave)
        {
            FpuState.SaveAll(c, x, CpuImage.XsaveBytes);
        }

        _inUserMode = _bus.Port == GuestLayout.EndPort;
        state.Cr2 = 0;
        if (_inUserMode)
        {
            state.Vector = -1;
            state.Error = 0;
            state.Rip = 0;
            state.Flags = Core.StatusFlags.GetRflags(c);
            return;
        }

        GuestLayout.TakeFrame(Ram, state, _bus.Port, c->R[4]);
        if (_bus.Port == 14)
        {
            state.Cr2 = c->Cr2;
        }
    }

    public void Dispose()
    {
        _vcpu.Dispose();
        _partition.Dispose();
        _hypervisor.Dispose();
        NativeMemory.AlignedFree(Ram);
    }

    /// <summary>Any port write stops the run.</summary>
    private sealed class PortBus : IVcpuBus
    {
        public int Port { get; set; }

        public Action Written { get; set; } = static () => { };

        public void ReadPort(ushort port, Span<byte> data) => data.Fill(0xff);

        public void WritePort(ushort port, ReadOnlySpan<byte> data)
        {
            Port = port;
            Written();
        }

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

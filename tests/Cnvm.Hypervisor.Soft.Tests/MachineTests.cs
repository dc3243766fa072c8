using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>What hostile or unusual code does to the machine around the processor.</summary>
public sealed class MachineTests
{
    private const byte Out = 0xe6;
    private const byte End = 0x80;
    private static readonly byte[] EndCode = [Out, End, 0xeb, 0xfe];

    private static byte[] Code(params byte[][] parts) => [.. parts.SelectMany(static p => p)];

    [Fact]
    public void An_exception_without_handlers_shuts_the_machine_down()
    {
        using SoftMachine m = new();
        m.Write(SoftMachine.CodeAddress, 0x0f, 0x0b);
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress);
        Assert.Equal(VcpuStopReason.Shutdown, m.Run().Reason);
    }

    [Fact]
    public void Code_outside_of_RAM_is_an_invalid_opcode()
    {
        using SoftMachine m = new();
        m.AddHandlers();
        // mov rax, 0x180000 ; jmp rax: mapped, but no RAM.
        m.Write(SoftMachine.CodeAddress, 0x48, 0xc7, 0xc0, 0x00, 0x00, 0x18, 0x00, 0xff, 0xe0);
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress);
        Assert.Equal(VcpuStopReason.Kicked, m.Run().Reason);
        Assert.Equal((6, 0x18_0000ul), (m.Bus.Ports[0].Port, m.Read64(0x9000 - 40 - 0)));
    }

    [Fact]
    public void Page_tables_outside_of_RAM_map_nothing()
    {
        using SoftMachine m = new();
        m.AddHandlers();
        m.Write(SoftMachine.CodeAddress, Code([0x48, 0xa1, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00], EndCode));
        // The second 2 MiB are mapped by a table that is no RAM: its entries read as absent, and no device is asked.
        m.At(0x8_2008, 8).Clear();
        m.At(0x8_2008, 8)[0] = 0x67;
        m.At(0x8_2008, 8)[2] = 0x30;
        m.Bus.MmioValue = ulong.MaxValue;
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress);
        Assert.Equal(VcpuStopReason.Kicked, m.Run().Reason);
        Assert.Equal(14, m.Bus.Ports[0].Port);
        Assert.Equal(0, m.Bus.MmioReads);
        Assert.Equal(0x20_0000ul, m.Vcpu.Save().System.Cr2);
    }

    [Fact]
    public void Code_that_rewrites_its_next_instruction_runs_the_new_one()
    {
        using SoftMachine m = new();
        // mov byte [rip+1], 5 ; mov al, 1 (its immediate becomes 5)
        m.Write(SoftMachine.CodeAddress, Code([0xc6, 0x05, 0x01, 0x00, 0x00, 0x00, 0x05, 0xb0, 0x01], EndCode));
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress);
        m.Run();
        Assert.Equal(5u, m.Bus.Ports[0].Value);
    }

    [Fact]
    public void An_instruction_across_two_pages_follows_changes_in_both()
    {
        using SoftMachine m = new();
        const ulong Boundary = SoftMachine.CodeAddress + 0x1000;
        // mov eax, imm32 begins two bytes before the page ends.
        m.Write(Boundary - 2, Code([0xb8, 0x11, 0x22, 0x33, 0x44], EndCode));
        void Expect(uint value)
        {
            m.Enter(0, CpuMode.Long, Boundary - 2);
            m.Run();
            Assert.Equal(value, (uint)m.Vcpu.Save().General.Rax);
        }

        Expect(0x4433_2211);
        Expect(0x4433_2211);
        m.Write(Boundary - 1, 0x99);
        m.Partition.UnmapRam(m.Region);
        m.Partition.MapRam(m.Region);
        Expect(0x4433_2299);
        // And by the guest itself: mov byte [Boundary + 1], 0x77 ; jmp to the instruction.
        m.Write(0x2_0000, 0xc6, 0x04, 0x25, 0x01, 0x10, 0x01, 0x00, 0x77, 0xe9, 0xf1, 0x0f, 0xff, 0xff);
        m.Enter(0, CpuMode.Long, 0x2_0000);
        m.Run();
        Assert.Equal(0x4477_2299u, (uint)m.Vcpu.Save().General.Rax);
    }

    [Fact]
    public void Unmapping_the_page_under_execution_faults_at_the_next_instruction()
    {
        using SoftMachine m = new();
        m.AddHandlers();
        ulong entry = 0x8_3000 + (SoftMachine.CodeAddress >> 12 << 3);
        // mov qword [entry], 0 ; invlpg [code] ; nop
        m.Write(
            SoftMachine.CodeAddress,
            Code(
                [0x48, 0xc7, 0x04, 0x25, .. BitConverter.GetBytes((uint)entry), 0, 0, 0, 0],
                [0x0f, 0x01, 0x3c, 0x25, .. BitConverter.GetBytes((uint)SoftMachine.CodeAddress)],
                [0x90],
                EndCode));
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress);
        Assert.Equal(VcpuStopReason.Kicked, m.Run().Reason);
        Assert.Equal(14, m.Bus.Ports[0].Port);
        Assert.Equal(SoftMachine.CodeAddress + 20, m.Vcpu.Save().System.Cr2);
    }

    [Fact]
    public void Code_written_from_outside_is_seen_after_a_device_wrote_it()
    {
        using SoftMachine m = new();
        // A loop that a "device" changes while the vCPU waits in its port write: out 0x10 ; mov al, 1 ; out 0x80.
        m.Write(SoftMachine.CodeAddress, Code([Out, 0x10, 0xb0, 0x01], EndCode));
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress);
        m.Bus.OnPort = port =>
        {
            if (port == 0x10)
            {
                m.Write(SoftMachine.CodeAddress + 3, 0x2a);
            }
            else
            {
                m.Bus.Kick();
            }
        };
        m.Run();
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress);
        m.Run();
        Assert.Equal(0x2au, m.Bus.Ports[^1].Value);
    }

    [Fact]
    public void The_dirty_log_names_the_written_page_once()
    {
        using SoftMachine m = new();
        // mov [rdi], rax
        m.Write(SoftMachine.CodeAddress, Code([0x48, 0x89, 0x07], EndCode));
        void Run()
        {
            m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress, static r => r[7] = SoftMachine.DataAddress);
            m.Run();
        }

        Run();
        IDirtyLog log = m.Partition.DirtyLog;
        log.Start();
        Run();
        DirtyBitmap dirty = new(m.Vcpu.Partition.Regions);
        log.Collect(dirty);
        Assert.True(dirty.IsDirty(0, SoftMachine.DataAddress >> 12));
        DirtyBitmap later = new(m.Vcpu.Partition.Regions);
        log.Collect(later);
        Assert.False(later.IsDirty(0, SoftMachine.DataAddress >> 12));
        Run();
        log.Collect(later);
        Assert.True(later.IsDirty(0, SoftMachine.DataAddress >> 12));
        log.Stop();
    }

    [Fact]
    public void Saved_state_restores_to_itself()
    {
        using SoftMachine m = new();
        // vpcmpeqd ymm3, ymm3, ymm3 ; fldpi ; fld1
        m.Write(SoftMachine.CodeAddress, Code([0xc5, 0xe5, 0x76, 0xdb, 0xd9, 0xeb, 0xd9, 0xe8], EndCode));
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress, static r => r[3] = 0x1234_5678_9abc_def0);
        Assert.Equal(VcpuStopReason.Kicked, m.Run().Reason);
        VcpuState first = m.Vcpu.Save();
        m.Vcpu.Reset();
        m.Vcpu.Restore(first);
        VcpuState second = m.Vcpu.Save();
        Assert.Equal(first.General, second.General);
        Assert.Equal(first.System, second.System);
        Assert.Equal(first.Xcr0, second.Xcr0);
        Assert.Equal(first.Xsave.AsSpan(), second.Xsave.AsSpan());
        Assert.Equal(first.Lapic.AsSpan(), second.Lapic.AsSpan());
        Assert.Equal(first.Events, second.Events);
        // The time-stamp counter goes on.
        Assert.Equal(first.Msrs.Where(static v => v.Index != 0x10), second.Msrs.Where(static v => v.Index != 0x10));
        Assert.Equal(7ul, BitConverter.ToUInt64(first.Xsave.AsSpan()[512..]));
        Assert.Equal(ulong.MaxValue, BitConverter.ToUInt64(first.Xsave.AsSpan()[(576 + 48)..]));
    }

    [Fact]
    public void Avx_is_undefined_until_XCR0_has_it()
    {
        using SoftMachine m = new();
        m.AddHandlers();
        // xor ecx,ecx ; xor edx,edx ; mov eax,3 ; xsetbv ; vzeroupper
        m.Write(SoftMachine.CodeAddress, Code([0x31, 0xc9, 0x31, 0xd2, 0xb8, 3, 0, 0, 0, 0x0f, 0x01, 0xd1, 0xc5, 0xf8, 0x77], EndCode));
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress);
        m.Run();
        Assert.Equal(6, m.Bus.Ports[0].Port);
        m.Write(SoftMachine.CodeAddress + 5, 7);
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress);
        m.Run();
        Assert.Equal(End, m.Bus.Ports[0].Port);
    }
}

using System.Buffers.Binary;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Platform;

namespace Cnvm.Hypervisor.Soft;

/// <summary>Ports, device memory, hypercalls.</summary>
internal sealed unsafe partial class SoftVcpu
{
    private const uint HypercallKickCpu = 5;
    private const long HypercallUnknown = -1000;
    private const long HypercallNotPermitted = -1;

    public ulong ReadPort(ushort port, int size)
    {
        ExitCounters.PortIn++;
        if (_c->Watch != 0)
        {
            Mmu.NotePort(_c, port, size);
        }

        Span<byte> data = stackalloc byte[8];
        data.Clear();
        _bus.ReadPort(port, data[..size]);
        return BinaryPrimitives.ReadUInt64LittleEndian(data);
    }

    public void WritePort(ushort port, ulong value, int size)
    {
        if (_c->Watch != 0)
        {
            Mmu.NotePort(_c, port, size);
        }

        if (_partition.RingDoorbell(DoorbellSpace.Port, port, size, value))
        {
            return;
        }

        ExitCounters.PortOut++;
        Span<byte> data = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(data, value);
        _bus.WritePort(port, data[..size]);
    }

    public void ReadMmio(ulong gpa, Span<byte> data)
    {
        if (Apic.Owns(gpa))
        {
            Apic.ReadMemory((uint)gpa & 0xfff, data);
            return;
        }

        ExitCounters.MmioRead++;
        _bus.ReadMmio(gpa, data);
    }

    public void WriteMmio(ulong gpa, ReadOnlySpan<byte> data)
    {
        if (Apic.Owns(gpa))
        {
            Apic.WriteMemory((uint)gpa & 0xfff, data);
            return;
        }

        Span<byte> wide = stackalloc byte[8];
        wide.Clear();
        data.CopyTo(wide);
        if (_partition.RingDoorbell(DoorbellSpace.Memory, gpa, data.Length, BinaryPrimitives.ReadUInt64LittleEndian(wide)))
        {
            return;
        }

        ExitCounters.MmioWrite++;
        _bus.WriteMmio(gpa, data);
    }

    public void EndOfInterrupt(byte vector)
    {
        ExitCounters.EndOfInterrupt++;
        _bus.EndOfInterrupt(vector);
    }

    public byte AcknowledgePic() => _bus.AcknowledgePic();

    public void Hypercall()
    {
        Cpu* c = _c;
        long result = c->Cpl != 0 ? HypercallNotPermitted : HypercallUnknown;
        if (c->Cpl == 0 && (uint)c->R[0] == HypercallKickCpu)
        {
            _partition.WakeByApicId((uint)c->R[1]);
            result = 0;
        }

        c->R[0] = Ops.Segments.Code64(c) ? (ulong)result : (uint)result;
    }
}

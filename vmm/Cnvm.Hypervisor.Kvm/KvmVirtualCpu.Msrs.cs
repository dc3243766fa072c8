using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using Cnvm.Hypervisor.State;
using Cnvm.Linux;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

// Model-specific registers, in chunks: KVM takes at most 256 at once and stops at the first that it refuses.
internal sealed unsafe partial class KvmVirtualCpu
{
    private const int MsrsPerCall = 128;
    private const int MaxTries = 10;

    // One ioctl takes a few microseconds.
    private static readonly TimeSpan Undisturbed = TimeSpan.FromMicroseconds(20);

    /// <param name="tscTimestamp">Host monotonic time in nanoseconds at which the TSC was read.</param>
    private ImmutableArray<MsrValue> SaveMsrs(out ulong tscTimestamp)
    {
        uint[] indices = _partition.SavedMsrs ??= ReadableMsrs();
        var values = ImmutableArray.CreateBuilder<MsrValue>(indices.Length);
        foreach (uint[] chunk in indices.Chunk(MsrsPerCall))
        {
            int read = ReadMsrs(chunk, values);
            if (read != chunk.Length)
            {
                throw new HypervisorException($"vCPU {Index}: KVM no longer reads MSR 0x{chunk[read]:x}");
            }
        }

        // The TSC once more, alone: the closer the two readings of the host's clock, the better the relation.
        ulong tsc = ReadTsc(out tscTimestamp);
        int at = Array.IndexOf(indices, MsrIndex.TimeStampCounter);
        if (at >= 0)
        {
            values[at] = new MsrValue(MsrIndex.TimeStampCounter, tsc);
        }

        return values.ToImmutable();
    }

    /// <inheritdoc/>
    /// <remarks>Some times where this thread is interrupted meanwhile, of which the shortest counts.</remarks>
    public ulong ReadTsc(out ulong timestamp)
    {
        ulong tsc = 0;
        timestamp = 0;
        var shortest = TimeSpan.MaxValue;
        for (int tries = 0; tries < MaxTries && shortest > Undisturbed; tries++)
        {
            long before = Stopwatch.GetTimestamp();
            if (!TryReadMsr(MsrIndex.TimeStampCounter, out ulong value))
            {
                throw new HypervisorException($"vCPU {Index}: KVM does not read the TSC");
            }

            long took = Stopwatch.GetTimestamp() - before;
            if (Stopwatch.GetElapsedTime(0, took) < shortest)
            {
                shortest = Stopwatch.GetElapsedTime(0, took);
                tsc = value;
                timestamp = (ulong)Stopwatch.GetElapsedTime(0, before + (took / 2)).Ticks * 100;
            }
        }

        return tsc;
    }

    /// <summary>
    /// TSCs that were one where they were saved are one again, however long restoring the vCPUs one after the other takes: KVM takes values
    /// for one TSC only if they are written within a second of each other.
    /// </summary>
    /// <param name="value">The saved TSC.</param>
    /// <returns>Whether this vCPU's TSC now is that of the first one; otherwise it has to be written.</returns>
    private bool JoinTsc(ulong value)
    {
        ulong second = TscKhz * 1000UL;
        if (Index == 0 || _partition.FirstTsc is not { } first || first.Khz != TscKhz || value - first.Value + second > 2 * second)
        {
            return false;
        }

        ulong offset = first.Offset;
        return TryTscOffset(KvmRequest.KVM_SET_DEVICE_ATTR, ref offset);
    }

    /// <summary>What others have to join.</summary>
    private void KeepTsc(ulong value)
    {
        ulong offset = 0;
        _partition.FirstTsc = Index == 0 && TryTscOffset(KvmRequest.KVM_GET_DEVICE_ATTR, ref offset) ? (value, TscKhz, offset) : _partition.FirstTsc;
    }

    /// <summary>Reads or writes what KVM adds to the host's TSC; false where it does not let one (Linux before 5.16).</summary>
    private bool TryTscOffset(uint request, ref ulong offset)
    {
        ulong value = offset;
        var attribute = new kvm_device_attr { group = KvmConstants.KVM_VCPU_TSC_CTRL, attr = KvmConstants.KVM_VCPU_TSC_OFFSET, addr = (ulong)&value };
        bool done = Libc.ioctl(_fd.Value, request, (nint)(&attribute)) == 0;
        offset = value;
        return done;
    }

    /// <summary>The TSC deadline comes last: it is compared with the TSC, and counts only once the local APIC's timer mode is set.</summary>
    private void RestoreMsrs(ImmutableArray<MsrValue> msrs)
    {
        MsrValue? tsc = msrs.Any(m => m.Index == MsrIndex.TimeStampCounter) ? msrs.First(m => m.Index == MsrIndex.TimeStampCounter) : null;
        bool joined = tsc is { } saved && JoinTsc(saved.Value);
        MsrValue[] ordered =
        [
            .. msrs.Where(m => m.Index != MsrIndex.TscDeadline && !(joined && m.Index == MsrIndex.TimeStampCounter)),
            .. msrs.Where(m => m.Index == MsrIndex.TscDeadline),
        ];
        for (int next = 0; next < ordered.Length;)
        {
            ReadOnlySpan<MsrValue> chunk = ordered.AsSpan(next, Math.Min(MsrsPerCall, ordered.Length - next));
            int written = WriteMsrs(chunk);
            next += written;
            if (written == chunk.Length)
            {
                continue;
            }

            // Some registers can be read but not written; that is no loss when they hold the value already. Nor is it when a register
            // that this host lacks held nothing, or described the host that the guest came from.
            MsrValue refused = ordered[next++];
            bool known = TryReadMsr(refused.Index, out ulong now);
            if (refused.Policy == MsrPolicy.Preserve && (known ? now != refused.Value : refused.Value != 0))
            {
                throw new HypervisorException(string.Create(
                    CultureInfo.InvariantCulture,
                    $"vCPU {Index}: this host's KVM does not take value 0x{refused.Value:x} for MSR 0x{refused.Index:x}"));
            }
        }

        if (tsc is { } own && !joined)
        {
            KeepTsc(own.Value);
        }
    }

    /// <summary>KVM_GET_MSR_INDEX_LIST without what this vCPU's CPUID or the host keeps from being read.</summary>
    private uint[] ReadableMsrs()
    {
        uint[] listed = [.. KvmMsrs.Listed(_partition.Hypervisor.Fd), .. KvmMsrs.MemoryTypeRanges];
        Array.Sort(listed);
        return [.. listed.Distinct().Where(i => !KvmMsrs.StandsElsewhere(i) && TryReadMsr(i, out _))];
    }

    private bool TryReadMsr(uint index, out ulong value)
    {
        var one = ImmutableArray.CreateBuilder<MsrValue>(1);
        bool read = ReadMsrs([index], one) == 1;
        value = read ? one[0].Value : 0;
        return read;
    }

    private void SetMsr(uint index, ulong value)
    {
        if (WriteMsrs([new MsrValue(index, value)]) != 1)
        {
            throw new HypervisorException($"vCPU {Index}: KVM does not take value 0x{value:x} for MSR 0x{index:x}");
        }
    }

    private int ReadMsrs(ReadOnlySpan<uint> indices, ImmutableArray<MsrValue>.Builder values)
    {
        byte* buffer = stackalloc byte[sizeof(kvm_msrs) + (MsrsPerCall * sizeof(kvm_msr_entry))];
        kvm_msr_entry* entries = Header(buffer, indices.Length);
        for (int i = 0; i < indices.Length; i++)
        {
            // SAFETY: a chunk has at most MsrsPerCall entries.
            entries[i] = new kvm_msr_entry { index = indices[i] };
        }

        int count = KvmIoctl.Call(_fd.Value, KvmRequest.KVM_GET_MSRS, (nint)buffer);
        for (int i = 0; i < count; i++)
        {
            values.Add(new MsrValue(entries[i].index, entries[i].data));
        }

        return count;
    }

    private int WriteMsrs(ReadOnlySpan<MsrValue> msrs)
    {
        byte* buffer = stackalloc byte[sizeof(kvm_msrs) + (MsrsPerCall * sizeof(kvm_msr_entry))];
        kvm_msr_entry* entries = Header(buffer, msrs.Length);
        for (int i = 0; i < msrs.Length; i++)
        {
            // SAFETY: a chunk has at most MsrsPerCall entries.
            entries[i] = new kvm_msr_entry { index = msrs[i].Index, data = msrs[i].Value };
        }

        return KvmIoctl.Call(_fd.Value, KvmRequest.KVM_SET_MSRS, (nint)buffer);
    }

    private static kvm_msr_entry* Header(byte* buffer, int count)
    {
        *(kvm_msrs*)buffer = new kvm_msrs { nmsrs = (uint)count };
        return (kvm_msr_entry*)(buffer + sizeof(kvm_msrs));
    }
}

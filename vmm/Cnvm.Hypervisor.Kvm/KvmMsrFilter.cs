using Cnvm.Arch.Registers;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>Takes model-specific registers away from guests (KVM_X86_SET_MSR_FILTER, Documentation/virt/kvm/api.rst §4.97).</summary>
internal static unsafe class KvmMsrFilter
{
    // struct kvm_msr_filter: the flags, then the ranges at their own alignment.
    private const int RangesOffset = 8;

    /// <summary>Accesses to these registers leave the guest with KVM_MSR_EXIT_REASON_FILTER; all others go on as before.</summary>
    public static void Hide(int partitionFd, IReadOnlyList<MsrRange> hidden)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(hidden.Count, KvmConstants.KVM_MSR_FILTER_MAX_RANGES);
        int words = hidden.Sum(WordsOf);
        byte* filter = stackalloc byte[RangesOffset + (KvmConstants.KVM_MSR_FILTER_MAX_RANGES * sizeof(kvm_msr_filter_range))];

        // A clear bit refuses the access: all of them are.
        ulong* bitmaps = stackalloc ulong[words];
        new Span<ulong>(bitmaps, words).Clear();

        // SAFETY: the filter has room for the greatest number of ranges, and each range's bitmap lies within those just cleared. The
        // kernel copies all of it.
        *(kvm_msr_filter*)filter = new kvm_msr_filter { flags = KvmConstants.KVM_MSR_FILTER_DEFAULT_ALLOW };
        var ranges = new Span<kvm_msr_filter_range>(filter + RangesOffset, KvmConstants.KVM_MSR_FILTER_MAX_RANGES);
        ranges.Clear();
        for (int i = 0; i < hidden.Count; i++)
        {
            ranges[i] = new kvm_msr_filter_range
            {
                flags = KvmConstants.KVM_MSR_FILTER_READ | KvmConstants.KVM_MSR_FILTER_WRITE,
                @base = hidden[i].First,
                nmsrs = hidden[i].Count,
                bitmap = (nint)bitmaps,
            };
            bitmaps += WordsOf(hidden[i]);
        }

        KvmIoctl.Call(partitionFd, KvmRequest.KVM_X86_SET_MSR_FILTER, (nint)filter);
    }

    private static int WordsOf(MsrRange range) => (int)((range.Count + 63) / 64);
}

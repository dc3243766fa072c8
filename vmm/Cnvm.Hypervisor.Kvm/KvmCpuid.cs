using Cnvm.Arch.Cpuid;
using Cnvm.Linux;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>CPUID tables in the shape that KVM takes and gives (struct kvm_cpuid2).</summary>
internal static unsafe class KvmCpuid
{
    // KVM_MAX_CPUID_ENTRIES in the kernel.
    private const int MaxEntries = 256;

    /// <summary>KVM_GET_SUPPORTED_CPUID on the device.</summary>
    public static CpuidTable Supported(int fd) => Read(fd, KvmRequest.KVM_GET_SUPPORTED_CPUID);

    /// <summary>KVM_SET_CPUID2 on a vCPU.</summary>
    public static void Set(int vcpu, CpuidTable table)
    {
        var buffer = new byte[sizeof(kvm_cpuid2) + (table.Count * sizeof(kvm_cpuid_entry2))];
        // SAFETY: the buffer holds the header and as many entries as the header says.
        fixed (byte* p = buffer)
        {
            ((kvm_cpuid2*)p)->nent = (uint)table.Count;
            var entry = (kvm_cpuid_entry2*)(p + sizeof(kvm_cpuid2));
            foreach (ref readonly CpuidEntry e in table.AsSpan())
            {
                *entry++ = new kvm_cpuid_entry2
                {
                    function = e.Leaf,
                    index = e.Subleaf,
                    flags = e.HasSubleaf ? KvmConstants.KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
                    eax = e.Eax,
                    ebx = e.Ebx,
                    ecx = e.Ecx,
                    edx = e.Edx,
                };
            }

            KvmIoctl.Call(vcpu, KvmRequest.KVM_SET_CPUID2, (nint)p);
        }
    }

    private static CpuidTable Read(int fd, uint request)
    {
        var buffer = new byte[sizeof(kvm_cpuid2) + (MaxEntries * sizeof(kvm_cpuid_entry2))];
        // SAFETY: the buffer has room for as many entries as the header offers; the kernel writes their number back.
        fixed (byte* p = buffer)
        {
            ((kvm_cpuid2*)p)->nent = MaxEntries;
            KvmIoctl.Call(fd, request, (nint)p, "KVM_GET_SUPPORTED_CPUID");
            var entries = new List<CpuidEntry>((int)((kvm_cpuid2*)p)->nent);
            var entry = (kvm_cpuid_entry2*)(p + sizeof(kvm_cpuid2));
            for (uint i = 0; i < ((kvm_cpuid2*)p)->nent; i++, entry++)
            {
                entries.Add(new CpuidEntry
                {
                    Leaf = entry->function,
                    Subleaf = entry->index,
                    HasSubleaf = (entry->flags & KvmConstants.KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0,
                    Eax = entry->eax,
                    Ebx = entry->ebx,
                    Ecx = entry->ecx,
                    Edx = entry->edx,
                });
            }

            return new CpuidTable(entries);
        }
    }
}

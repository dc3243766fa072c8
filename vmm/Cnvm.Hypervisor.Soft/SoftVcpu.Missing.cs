using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Hypervisor.Soft;

/// <content>Memory that still comes from the source of a migration.</content>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>Others may wait for this vCPU to give up translations: it looks at that so often while it waits for a page.</summary>
    private const int AwaitMilliseconds = 2;

    /// <summary>Waits until the page of an address in RAM is here. What the TLBs have has been here before.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public void AwaitPage(ulong gpa)
    {
        if (_partition.Missing is { } missing)
        {
            while (!missing.TryWait(gpa, AwaitMilliseconds))
            {
                ObeyFlush();
            }
        }
    }
}

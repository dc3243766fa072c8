using Cnvm.Linux;

namespace Cnvm.Hypervisor.Kvm.Tests;

/// <summary>Opens /dev/kvm, or skips the test with the reason.</summary>
internal static class TestHost
{
    public static KvmHypervisor Open()
    {
        try
        {
            return KvmHypervisor.Open();
        }
        catch (HypervisorException e) when (e.InnerException is LinuxException)
        {
            Skip.If(true, e.Message);
            throw;
        }
    }
}

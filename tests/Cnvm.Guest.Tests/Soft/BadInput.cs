using Cnvm.Nested;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>Also what happens where there is no /dev/kvm at all.</summary>
public sealed class BadInput() : BadInputTests("soft")
{
    [GuestTheory]
    [InlineData("auto", "using the software vCPU: ")]
    [InlineData("soft", "")]
    public void Without_a_kvm_device_guests_run(string hypervisor, string said)
    {
        Skip.If(!Environment.IsPrivilegedProcess, "hiding /dev/kvm needs root, for a mount namespace");
        MakeFiles();
        string initramfs = Repository.Image("initramfs.cpio");

        // Nobody types here, so the guest's first process turns it off.
        (int code, string output, string error) = Run(
            "unshare",
            "--mount", "sh", "-c", $"mount -t tmpfs none /dev && exec {Shell.Quote(GuestHostFixture.Vmm)} --hypervisor {hypervisor} --kernel {Expand("%")} --initramfs {initramfs} --cmdline 'console=ttyS0 panic=-1 rdinit=/bin/poweroff' --serial tty --console off --api-socket {Folder}/api.sock");

        Assert.True(code == 0, $"exit code {code}\n{error}\n{output}");
        Assert.Contains("reboot: Power down", output, StringComparison.Ordinal);
        Assert.Contains(said, error, StringComparison.Ordinal);
        AssertNothingIsLeft();
    }
}

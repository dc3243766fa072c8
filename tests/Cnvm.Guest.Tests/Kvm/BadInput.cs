using Cnvm.Nested;

namespace Cnvm.Guest.Tests.Kvm;

/// <summary>Also what is said about a /dev/kvm that is missing, closed or of no use.</summary>
public sealed class BadInput() : BadInputTests("kvm")
{
    [GuestFact]
    public void Without_a_kvm_device_it_says_so()
    {
        Skip.If(!Environment.IsPrivilegedProcess, "hiding /dev/kvm needs root, for a mount namespace");
        MakeFiles();

        (int code, _, string error) = Run(
            "unshare",
            "--mount", "sh", "-c", $"mount -t tmpfs none /dev && exec {Shell.Quote(GuestHostFixture.Vmm)} --hypervisor kvm --kernel {Expand("%")} --console off --api-socket {Folder}/api.sock");

        Assert.Equal(1, code);
        Assert.Contains("/dev/kvm does not exist", error, StringComparison.Ordinal);
        AssertNothingIsLeft();
    }

    [GuestFact]
    public void Without_permission_it_says_whom_to_ask()
    {
        Skip.If(!Environment.IsPrivilegedProcess, "becoming another user needs root");
        Skip.If(!File.Exists("/dev/kvm"), "there is no /dev/kvm here");
        Skip.If((File.GetUnixFileMode("/dev/kvm") & (UnixFileMode.OtherRead | UnixFileMode.OtherWrite)) != 0, "everybody may open /dev/kvm here");
        MakeFiles();
        File.SetUnixFileMode(Folder, (UnixFileMode)0x1ff);
        string program = Path.Combine(Folder, "cnvm-vmm");
        File.Copy(GuestHostFixture.Vmm, program);
        File.SetUnixFileMode(program, (UnixFileMode)0x1ed);

        (int code, _, string error) = Run(
            "setpriv",
            "--reuid=65534", "--regid=65534", "--clear-groups", program, "--hypervisor", "kvm", "--kernel", "/etc/hostname", "--console", "off", "--api-socket", $"{Folder}/api.sock");

        File.Delete(program);
        Assert.Equal(1, code);
        Assert.Contains("no permission to open /dev/kvm", error, StringComparison.Ordinal);
        AssertNothingIsLeft();
    }

    /// <summary>
    /// A KVM without hardware virtualisation runs no ordinary kernel. That is said at once; what ends the guest, some 20 s later on an
    /// idle machine, is an instruction that KVM cannot interpret.
    /// </summary>
    [GuestFact]
    public void A_kvm_that_cannot_run_the_guest_is_explained()
    {
        Skip.If(!File.Exists("/dev/kvm"), "there is no /dev/kvm here");
        Skip.If(
            File.ReadAllText("/proc/cpuinfo").Split([' ', '\n', '\t']).Any(word => word is "vmx" or "svm"),
            "this machine's KVM has hardware virtualisation and runs the guest");
        MakeFiles();

        (int code, _, string error) = Run(
            GuestHostFixture.Vmm,
            "--hypervisor", "kvm", "--kernel", Expand("%"), "--cmdline", "panic=-1", "--serial", "null", "--console", "off", "--api-socket", $"{Folder}/api.sock");

        Assert.True(code == 1, $"exit code {code}\n{error}");
        Assert.Contains("neither VMX nor SVM", error.Split('\n')[0], StringComparison.Ordinal);
        Assert.Contains("the guest cannot run any further", error, StringComparison.Ordinal);
        Assert.Contains("RIP=", error, StringComparison.Ordinal);
        AssertNothingIsLeft();
    }

    protected override void SkipWithoutHypervisor() => Skip.If(!File.Exists("/dev/kvm"), "there is no /dev/kvm here");
}

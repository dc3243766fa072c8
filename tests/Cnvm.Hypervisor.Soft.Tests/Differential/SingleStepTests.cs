using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>
/// Where TF stops user code on the real processor. Breakpoints, MOV SS and INT3 are not compared: a KVM without hardware
/// virtualisation gives guests no breakpoints, and does the other two by itself.
/// </summary>
public sealed unsafe class SingleStepTests
{
    [SkippableTheory]
    [InlineData("9090")] // nop
    [InlineData("8907")] // mov [rdi], eax
    [InlineData("F3A490")] // rep movsb
    [InlineData("F348AB90")] // rep stosq
    [InlineData("F3A690")] // repe cmpsb
    [InlineData("F2AE90")] // repne scasb
    [InlineData("9D9090")] // popfq: TF off
    [InlineData("EB0090")] // jmp
    [InlineData("E80000000090")] // call
    [InlineData("0F0B")] // ud2
    [InlineData("F0FF0790")] // lock inc dword [rdi]
    [InlineData("E2FE90")] // loop to itself
    public void TF_stops_where_the_real_processor_stops(string code)
    {
        Skip.IfNot(KvmProcessor.IsAvailable(), "no /dev/kvm to compare with");
        using KvmProcessor native = new();
        using SoftProcessor soft = new();
        byte[] bytes = Convert.FromHexString(code);
        for (ulong count = 0; count < 4; count++)
        {
            CpuImage start = new() { Flags = Rflags.TF };
            BitConverter.TryWriteBytes(start.Xsave.AsSpan(24), 0x1f80);
            start.General[1] = count;
            start.General[4] = GuestLayout.DataAddress + 0x100;
            start.General[6] = GuestLayout.DataAddress + 0x200;
            start.General[7] = GuestLayout.DataAddress + 0x300;
            CpuImage expected = start.Copy();
            CpuImage actual = start.Copy();
            GuestLayout.Data(native.Ram).Clear();
            GuestLayout.SetCode(native.Ram, bytes);
            native.Run(expected);
            GuestLayout.Data(soft.Ram).Clear();
            GuestLayout.SetCode(soft.Ram, bytes);
            soft.Run(actual);
            string difference = expected.Differences(actual, 0);
            Assert.True(difference.Length == 0, difference);
            Assert.True(GuestLayout.Data(native.Ram).SequenceEqual(GuestLayout.Data(soft.Ram)));
            Assert.True(expected.Vector is Vectors.DB or Vectors.UD or Vectors.GP);
        }
    }
}

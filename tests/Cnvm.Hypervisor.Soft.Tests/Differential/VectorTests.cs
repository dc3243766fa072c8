namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>Every divergence that was ever found, against what the real processor did: no /dev/kvm is needed here.</summary>
public sealed unsafe class VectorTests
{
    [Fact]
    public void Recorded_cases_end_as_on_the_real_processor()
    {
        using SoftProcessor soft = new();
        List<string> failures = [];
        int count = 0;
        string folder = Path.Combine(AppContext.BaseDirectory, "Vectors");
        foreach (string line in Directory.EnumerateFiles(folder, "*.txt").SelectMany(File.ReadLines))
        {
            if (line.Length == 0 || line[0] == '#')
            {
                continue;
            }

            count++;
            TestVector v = TestVector.Parse(line);
            v.Memory.CopyTo(GuestLayout.Data(soft.Ram));
            GuestLayout.SetCode(soft.Ram, v.Code);
            CpuImage end = v.Start.Copy();
            soft.Run(end);
            if ((end.Vector, end.Error, end.Cr2, end.Rip) != (v.Vector, v.Error, v.Cr2, v.Rip))
            {
                failures.Add($"{Convert.ToHexString(v.Code)}: vector {v.Vector} error {v.Error:x} cr2 {v.Cr2:x} rip {v.Rip:x} expected, "
                    + $"{end.Vector} {end.Error:x} {end.Cr2:x} {end.Rip:x} seen");
            }
            else if (end.Digest(v.Undefined, GuestLayout.Data(soft.Ram)) != v.Digest)
            {
                failures.Add($"{Convert.ToHexString(v.Code)}: the state differs, with MXCSR {BitConverter.ToUInt32(end.Xsave, 24):x} and flags {end.Flags:x}");
            }
        }

        Assert.True(count > 100, $"only {count} vectors");
        Assert.True(failures.Count == 0, $"{failures.Count} of {count}\n" + string.Join("\n", failures.Take(50)));
    }
}

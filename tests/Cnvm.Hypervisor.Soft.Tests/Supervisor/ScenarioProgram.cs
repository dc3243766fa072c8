using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.Kvm;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>
/// The other side of the comparison, run with <c>dotnet exec</c> where a real KVM is: first the CPUID that both can show, then a line for
/// each scenario.
/// </summary>
internal static class ScenarioProgram
{
    public static int Main(string[] arguments)
    {
        if (arguments is not ["scenarios" or "show", _, _, ..])
        {
            Console.Error.WriteLine("usage: scenarios|show SEED COUNT [KIND]");
            return 2;
        }

        if (arguments[0] == "show")
        {
            foreach (Scenario scenario in ScenarioSelection.FromArguments(arguments.AsSpan(1)))
            {
                Console.WriteLine(ScenarioReport.Text(scenario));
            }

            return 0;
        }

        using KvmHypervisor kvm = KvmHypervisor.Open();
        using SoftHypervisor soft = SoftHypervisor.Create();
        CpuidTable cpuid = ScenarioRunner.Common(soft.SupportedCpuid, kvm.SupportedCpuid);
        using StreamWriter output = new(Console.OpenStandardOutput()) { AutoFlush = true };
        output.WriteLine(CpuidText.Write(cpuid));
        using ScenarioRunner runner = new(kvm, cpuid, attempts: 3);
        foreach (Scenario scenario in ScenarioSelection.FromArguments(arguments.AsSpan(1)))
        {
            output.WriteLine(runner.Run(scenario));
        }

        return 0;
    }
}

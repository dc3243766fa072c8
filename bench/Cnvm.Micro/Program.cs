using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Cnvm.Micro;

// --check: only whether hot paths allocate; exit code 1 if one does. Otherwise BenchmarkDotNet's own arguments, such as --filter '*'.
if (args is ["--check"])
{
    return AllocationCheck.Run(Console.Out) ? 0 : 1;
}

// In this process: BenchmarkDotNet's generated projects do not build under this repository's package rules.
IConfig config = DefaultConfig.Instance.AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance));
BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args, config);
return 0;

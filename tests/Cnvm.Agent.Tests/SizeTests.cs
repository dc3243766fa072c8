namespace Cnvm.Agent.Tests;

/// <summary>The agent lies in the memory of every sandbox.</summary>
public sealed class SizeTests
{
    private const long MostBytes = 3_000_000;

    [SkippableFact]
    public void The_agent_is_small()
    {
        Skip.If(!File.Exists(AgentFixture.Program), $"{AgentFixture.Program} has not been built (make out/sandbox/cnvm-agent)");
        Assert.InRange(new FileInfo(AgentFixture.Program).Length, 1, MostBytes);
    }
}

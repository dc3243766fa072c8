using System.ComponentModel;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Cnvm.Guest.Tests;

/// <summary>
/// A test that is run again, in a new nested host, when it failed in one: twice at most. Emulated processors now and then stand still, the host's as
/// well as those of a guest in it, which says nothing about the program under test. That may not hide anything: why the test failed at
/// first, and what was found out about the host, is kept, and the run's last lines show it.
/// </summary>
public sealed class GuestTestCase : SkippableFactTestCase
{
    private const int Repeats = 2;

    [EditorBrowsable(EditorBrowsableState.Never)]
    [Obsolete("Called by the deserialiser.")]
    public GuestTestCase()
    {
    }

    public GuestTestCase(
        IMessageSink diagnostics, TestMethodDisplay display, TestMethodDisplayOptions options, ITestMethod method, object[]? arguments)
        : base([typeof(Xunit.SkipException).FullName!], diagnostics, display, options, method, arguments)
    {
    }

    public override async Task<RunSummary> RunAsync(
        IMessageSink diagnosticMessageSink,
        IMessageBus messageBus,
        object[] constructorArguments,
        ExceptionAggregator aggregator,
        CancellationTokenSource cancellationTokenSource)
    {
        for (int repeats = 0; repeats < Repeats && constructorArguments.OfType<NestedHostFixture>().SingleOrDefault() is { } fixture; repeats++)
        {
            using var held = new HeldMessages();
            RunSummary summary = await base.RunAsync(
                diagnosticMessageSink, held, constructorArguments, new ExceptionAggregator(aggregator), cancellationTokenSource);
            if (summary.Failed == 0)
            {
                held.PassOn(messageBus);
                return summary;
            }

            await fixture.GiveUpAsync(DisplayName, held.Failures);
        }

        return await base.RunAsync(diagnosticMessageSink, messageBus, constructorArguments, aggregator, cancellationTokenSource);
    }
}

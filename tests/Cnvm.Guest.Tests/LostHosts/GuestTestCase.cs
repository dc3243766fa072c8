using System.ComponentModel;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Cnvm.Guest.Tests;

/// <summary>
/// A test that is run once more, in a new nested host, when the host froze under it. That is QEMU's emulator standing still, which says
/// nothing about the program under test; the fixture keeps what was found out about it, and the run's last lines name it.
/// </summary>
public sealed class GuestTestCase : SkippableFactTestCase
{
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
        using var held = new HeldMessages();
        RunSummary summary = await base.RunAsync(
            diagnosticMessageSink, held, constructorArguments, new ExceptionAggregator(aggregator), cancellationTokenSource);
        bool isHostLost = constructorArguments.OfType<NestedHostFixture>().Any(fixture => fixture.IsHostFrozen);
        if (summary.Failed > 0 && isHostLost)
        {
            return await base.RunAsync(diagnosticMessageSink, messageBus, constructorArguments, aggregator, cancellationTokenSource);
        }

        held.PassOn(messageBus);
        return summary;
    }
}

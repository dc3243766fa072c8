using Xunit.Abstractions;
using Xunit.Sdk;

namespace Cnvm.Guest.Tests;

/// <summary>Makes the test case of a <see cref="GuestFactAttribute"/>.</summary>
public sealed class GuestFactDiscoverer(IMessageSink diagnostics) : FactDiscoverer(diagnostics)
{
    protected override IXunitTestCase CreateTestCase(
        ITestFrameworkDiscoveryOptions discoveryOptions, ITestMethod testMethod, IAttributeInfo factAttribute) =>
        new GuestTestCase(
            DiagnosticMessageSink, discoveryOptions.MethodDisplayOrDefault(), discoveryOptions.MethodDisplayOptionsOrDefault(), testMethod, null);
}
